import { FAIL_MODES } from '../core/policy.js';
import {
  BOOLEAN,
  isFunction,
  isNonEmptyString,
  type OptionRules,
  oneOf,
  validateOptions,
} from '../core/validate.js';
import type { AnyLimitOptions, ScopeOverrides } from './options.js';

const CONDITION = { accepts: isFunction, fix: 'Give a function of the context.' };

const LIMIT_RULES: OptionRules<keyof AnyLimitOptions<never>> = {
  name: null,
  rate: null,
  key: null,
  algorithm: null,
  burst: null,
  cost: null,
  shadow: BOOLEAN,
  block: null,
  countWhen: { accepts: isFunction, fix: 'Give a function of the context and the result.' },
  methods: { accepts: Array.isArray, fix: `Give a list, such as ['POST', 'PUT'].` },
  when: CONDITION,
  skipIf: CONDITION,
  failMode: oneOf(...FAIL_MODES),
  phase: oneOf('before-guards', 'after-guards'),
  message: { accepts: isNonEmptyString, fix: 'Give a text that is not empty, or leave it out.' },
};

const MODULE_LIMIT_RULES: OptionRules<keyof typeof LIMIT_RULES | 'per'> = {
  ...LIMIT_RULES,
  per: oneOf('route'),
};

const OVERRIDE_RULES: OptionRules<keyof ScopeOverrides<never>> = {
  key: LIMIT_RULES.key,
  cost: LIMIT_RULES.cost,
  phase: LIMIT_RULES.phase,
};

export const LIMIT_OPTION_NAMES: readonly string[] = Object.keys(LIMIT_RULES);

/** Throws `bad-option` for invalid options of a limit. */
export const validateLimit = (options: object): void => validateOptions(options, LIMIT_RULES, '');

/** Throws `bad-option` for an invalid limit of the module. */
export const validateModuleLimit = (limit: unknown): void =>
  validateOptions(limit, MODULE_LIMIT_RULES, '', `A limit looks like { name: 'burst', rate: '60/min' }.`);

/** Throws `bad-option` for anything that one use of a scope cannot change. */
export const validateOverrides = (overrides: unknown): void =>
  validateOptions(
    overrides,
    OVERRIDE_RULES,
    '',
    '@ThrottleScope only changes how requests are charged; for other limits declare another scope, or use @RateLimit.',
  );
