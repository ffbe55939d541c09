import { mistake } from '../core/errors.js';
import { FAIL_MODES } from '../core/policy.js';
import { shown } from '../core/shown.js';
import {
  A_BOOLEAN,
  checkNames,
  checkOption,
  isFunction,
  isText,
  type OptionRules,
  oneOf,
} from './option-rules.js';
import type { LimitOptions, ModuleLimitOptions, ScopeOverrides } from './options.js';

const A_CONDITION = { fits: isFunction, mend: 'Give a function of the context.' };

const RULES: OptionRules<keyof LimitOptions<never>> = {
  name: null,
  rate: null,
  key: null,
  algorithm: null,
  burst: null,
  cost: null,
  shadow: A_BOOLEAN,
  block: null,
  countWhen: { fits: isFunction, mend: 'Give a function of the context and the result.' },
  methods: { fits: Array.isArray, mend: `Give a list, such as ['POST', 'PUT'].` },
  when: A_CONDITION,
  skipIf: A_CONDITION,
  failMode: oneOf(...FAIL_MODES),
  needs: oneOf('user', 'request'),
  message: { fits: isText, mend: 'Give a text that is not empty, or leave it out.' },
};

/** What a limit of the module takes beside them. */
const MODULE_RULES: OptionRules<Exclude<keyof ModuleLimitOptions<never>, keyof LimitOptions<never>>> = {
  per: oneOf('route'),
};

export const LIMIT_OPTION_NAMES: readonly string[] = Object.keys(RULES);

const WHERE = 'of a limit';

/**
 * Throws `bad-option` for what in the options of a limit there is not, or cannot be meant.
 *
 * @param isOfModule Whether it is one of the module's, which are offered `per` as well.
 */
export function checkLimitOptions(options: object, isOfModule: boolean): void {
  const offered = isOfModule ? [...LIMIT_OPTION_NAMES, ...Object.keys(MODULE_RULES)] : LIMIT_OPTION_NAMES;
  checkNames(Object.keys(options), offered, WHERE);
  for (const [name, value] of Object.entries(options)) checkOption(name, value, RULES, WHERE);
}

/** Throws `bad-option` for what is no limit of the module; of its other options {@link checkLimitOptions} hears. */
export function checkModuleLimit(limit: unknown): void {
  if (typeof limit !== 'object' || limit === null) {
    throw mistake(
      'bad-option',
      `${shown(limit)} is no limit.`,
      `Give an object with a rate, such as { name: 'burst', rate: '60/min' }.`,
    );
  }
  const { per } = limit as { readonly per?: unknown };
  checkOption('per', per, MODULE_RULES, 'of a limit of the module');
}

const OVERRIDE_NAMES: readonly string[] = [
  'key',
  'cost',
  'needs',
] satisfies readonly (keyof ScopeOverrides<never>)[];

/** Throws `bad-option` for what one use of a scope cannot change. */
export function checkOverrides(overrides: unknown): void {
  const isObject = typeof overrides === 'object' && overrides !== null;
  const wrong = isObject
    ? Object.keys(overrides).find((name) => !OVERRIDE_NAMES.includes(name))
    : String(overrides);
  if (wrong === undefined) return;
  throw mistake(
    'bad-option',
    `One use of a scope cannot change ${shown(wrong)}.`,
    `It can change ${OVERRIDE_NAMES.join(', ')}; for other limits declare another scope, or use @RateLimit.`,
  );
}
