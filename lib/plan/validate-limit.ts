import { configError, describeValue } from '../core/errors.js';
import { FAIL_MODES } from '../core/policy.js';
import {
  BOOLEAN,
  isFunction,
  isNonEmptyString,
  type OptionRules,
  oneOf,
  rejectUnknownOptions,
  validateOption,
} from '../core/validate.js';
import type { LimitOptions, ModuleLimitOptions, ScopeOverrides } from './options.js';

const CONDITION = { accepts: isFunction, fix: 'Give a function of the context.' };

const LIMIT_RULES: OptionRules<keyof LimitOptions<never>> = {
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
  needs: oneOf('user', 'request'),
  message: { accepts: isNonEmptyString, fix: 'Give a text that is not empty, or leave it out.' },
};

/** What a limit of the module takes beside them. */
const MODULE_RULES: OptionRules<Exclude<keyof ModuleLimitOptions<never>, keyof LimitOptions<never>>> = {
  per: oneOf('route'),
};

export const LIMIT_OPTION_NAMES: readonly string[] = Object.keys(LIMIT_RULES);

const WHERE = 'of a limit';

/**
 * Throws `bad-option` for what in the options of a limit there is not, or cannot be meant.
 *
 * @param isModuleLimit Whether it is one of the module's, which are offered `per` as well.
 */
export function validateLimit(options: object, isModuleLimit: boolean): void {
  const offered = isModuleLimit ? [...LIMIT_OPTION_NAMES, ...Object.keys(MODULE_RULES)] : LIMIT_OPTION_NAMES;
  rejectUnknownOptions(Object.keys(options), offered, WHERE);
  for (const [name, value] of Object.entries(options)) validateOption(name, value, LIMIT_RULES, WHERE);
}

/** Throws `bad-option` for what is no limit of the module; of its other options {@link validateLimit} hears. */
export function validateModuleLimit(limit: unknown): void {
  if (typeof limit !== 'object' || limit === null) {
    throw configError(
      'bad-option',
      `${describeValue(limit)} is no limit.`,
      `Give an object with a rate, such as { name: 'burst', rate: '60/min' }.`,
    );
  }
  const { per } = limit as { readonly per?: unknown };
  validateOption('per', per, MODULE_RULES, 'of a limit of the module');
}

const OVERRIDE_NAMES: readonly string[] = [
  'key',
  'cost',
  'needs',
] satisfies readonly (keyof ScopeOverrides<never>)[];

/** Throws `bad-option` for what one use of a scope cannot change. */
export function validateOverrides(overrides: unknown): void {
  const isObject = typeof overrides === 'object' && overrides !== null;
  const wrong = isObject
    ? Object.keys(overrides).find((name) => !OVERRIDE_NAMES.includes(name))
    : String(overrides);
  if (wrong === undefined) return;
  throw configError(
    'bad-option',
    `One use of a scope cannot change ${describeValue(wrong)}.`,
    `It can change ${OVERRIDE_NAMES.join(', ')}; for other limits declare another scope, or use @RateLimit.`,
  );
}
