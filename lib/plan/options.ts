import type { Duration } from '../core/duration.js';
import { mistake } from '../core/errors.js';
import type { AlgorithmName } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import { shown } from '../core/shown.js';
import type { KeyText } from '../key/key.js';
import type { Later } from '../store/store.js';

/** A rate by the caller's tier; `default` is for every tier that is not named. */
export type TierMap = Readonly<Record<string, RateInput>> & { readonly default: RateInput };

/** A rate worked out for each request. */
export type RateFunction<Context> = (context: Context) => Later<RateInput>;

/** Every way to give a rate: fixed, by tier, or worked out for each request. */
export type RateRule<Context> = RateInput | TierMap | RateFunction<Context>;

/**
 * Finds who is charged. Undefined says that the request lacks what it takes, and charges the address;
 * null skips the limit. An empty string, or anything else that is no identity, is logged and charges the
 * address.
 */
export type KeyFunction<Context> = (context: Context) => Later<string | null | undefined>;

/** Every way to give a key. */
export type KeyRule<Context> = KeyText | KeyFunction<Context>;

/** Finds what a request costs: a whole number, 0 or more. */
export type CostFunction<Context> = (context: Context) => Later<number>;

/**
 * One limit.
 *
 * @example
 * { name: 'report', rate: { free: '10/day', pro: '100/day', default: '10/day' }, key: 'user' }
 */
export interface LimitOptions<Context> {
  /**
   * What clients see in headers and bodies, and what replaces a limit of the same name further out.
   * Printable ASCII. Default: made from the method's name and the place among its decorators.
   */
  readonly name?: string | undefined;
  readonly rate: RateRule<Context>;
  /** Default: the module's `key`. */
  readonly key?: KeyRule<Context> | undefined;
  /** Default: the module's `algorithm`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** Capacity of a token bucket in units, 1 or more. Default: the limit. */
  readonly burst?: number | undefined;
  /** Units that a request costs, a whole number of 0 or more. Default 1. */
  readonly cost?: number | CostFunction<Context> | undefined;
  /** Decides and reports, but never denies and stands in no header. Default false. */
  readonly shadow?: boolean | undefined;
  /** After a denial, the bucket denies for this long. Default: not at all. */
  readonly block?: Duration | undefined;
  /**
   * What the functions of this limit read: `'user'`, and they are called once the user is known; or
   * `'request'`, and they are called before authentication. Default: found out, and logged.
   */
  readonly needs?: 'user' | 'request' | undefined;
  /** What a denied client reads in place of the usual message. */
  readonly message?: string | undefined;
}

type LimitOptionName = keyof LimitOptions<never>;

/** What options that nothing else looks at must be. */
const RULES: Readonly<Record<LimitOptionName, ((value: unknown) => boolean) | null>> = {
  name: null,
  rate: null,
  key: null,
  algorithm: null,
  burst: null,
  cost: null,
  shadow: (value) => typeof value === 'boolean',
  block: null,
  needs: (value) => value === 'user' || value === 'request',
  message: (value) => typeof value === 'string' && value !== '',
};

export const LIMIT_OPTION_NAMES: readonly string[] = Object.keys(RULES);

const MENDS: Readonly<Record<string, string>> = {
  shadow: 'Give true or false.',
  needs: `Give 'user' or 'request', or leave it out.`,
  message: 'Give a text that is not empty, or leave it out.',
};

/** Throws `bad-option` for an option that there is not: a word misspelt must not leave a limit out. */
export function checkLimitOptions(options: object): void {
  for (const [name, value] of Object.entries(options)) {
    const rule = RULES[name as LimitOptionName] as ((value: unknown) => boolean) | null | undefined;
    if (rule === undefined) {
      throw mistake(
        'bad-option',
        `There is no option ${shown(name)} of a limit.`,
        `The options are ${LIMIT_OPTION_NAMES.join(', ')}.`,
      );
    }
    if (rule === null || value === undefined || rule(value)) continue;
    throw mistake('bad-option', `${name} cannot be ${shown(value)}.`, MENDS[name] as string);
  }
}

/** A limit of the module, for every route. */
export interface ModuleLimitOptions<Context> extends LimitOptions<Context> {
  /** `'route'`: a bucket for each route. Default: one bucket for all of them. */
  readonly per?: 'route' | undefined;
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
  if (per === undefined || per === 'route') return;
  throw mistake('bad-option', `per cannot be ${shown(per)}.`, `Give 'route', or leave it out.`);
}

/** A named scope: a rate, or a limit whose name is the scope's. */
export type ScopeRule<Context> = RateRule<Context> | (LimitOptions<Context> & { readonly name?: never });

/** What one use of a scope may change: how requests are charged, but not the bucket they share. */
export type ScopeOverrides<Context> = Pick<LimitOptions<Context>, 'key' | 'cost' | 'needs'>;

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

/** What a decorator has noted of one limit. */
export type Declaration<Context> =
  | { readonly kind: 'limit'; readonly options: LimitOptions<Context> }
  | { readonly kind: 'scope'; readonly scope: string; readonly overrides: ScopeOverrides<Context> };

/** What `@SkipRateLimit` has noted: every limit from further out, or those of these names. */
export type Skip = 'all' | readonly string[];

/** A rate, or a limit with options, as a limit with options. A map of tiers is told by its `default`. */
export const asLimit = <Context>(rule: RateRule<Context> | LimitOptions<Context>): LimitOptions<Context> =>
  typeof rule === 'object' && rule !== null && 'rate' in rule && !('default' in rule)
    ? (rule as LimitOptions<Context>)
    : { rate: rule as RateRule<Context> };
