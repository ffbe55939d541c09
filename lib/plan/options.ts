import type { Duration } from '../core/duration.js';
import { mistake } from '../core/errors.js';
import type { AlgorithmName } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import { shown } from '../core/shown.js';
import type { KeyText } from '../key/key.js';
import type { Later } from '../store/store.js';
import type { RateByLoad } from './by-load.js';

/** A rate by the caller's tier; `default` is for every tier that is not named. */
export type TierMap = Readonly<Record<string, RateInput>> & { readonly default: RateInput };

/** A rate worked out for each request. */
export type RateFunction<Context> = (context: Context) => Later<RateInput>;

/** Every way to give a rate: fixed, by tier, by load, or worked out for each request. */
export type RateRule<Context> =
  | RateInput
  | TierMap
  | RateFunction<Context>
  | RateByLoad
  | ResolverClass<RateResolver<Context>>;

/**
 * Finds who is charged. Undefined says that the request lacks what it takes, and charges the address;
 * null skips the limit. An empty string, or anything else that is no identity, is logged and charges the
 * address.
 */
export type KeyFunction<Context> = (context: Context) => Later<string | null | undefined>;

/** Every way to give a key. */
export type KeyRule<Context> = KeyText | KeyFunction<Context> | ResolverClass<KeyResolver<Context>>;

/** Finds what a request costs: a whole number, 0 or more. */
export type CostFunction<Context> = (context: Context) => Later<number>;

/** Whether a limit applies to a request. */
export type ConditionFunction<Context> = (context: Context) => Later<boolean>;

/** What became of a call. */
export interface CallResult {
  /**
   * The status that was sent. Where none was, as over other transports than HTTP, that of the error;
   * undefined when it has none.
   */
  readonly status?: number | undefined;
  /** What the handler gave, the last value of an Observable. */
  readonly value?: unknown;
  /** What the handler, or a pipe of it, threw. */
  readonly error?: unknown;
}

/** Whether a call counts, once it is seen what became of it. */
export type CountFunction<Context> = (context: Context, result: CallResult) => Later<boolean>;

/** Which requests a limit applies to. Default: all. */
export interface ConditionOptions<Context> {
  /** The HTTP methods, in capital letters; GET means HEAD too. Calls over other transports are not counted. */
  readonly methods?: readonly string[] | undefined;
  /** Whether the limit applies; where it fails, it does. */
  readonly when?: ConditionFunction<Context> | undefined;
  /** Whether the limit is skipped; where it fails, it is not. */
  readonly skipIf?: ConditionFunction<Context> | undefined;
}

/**
 * Finds who is charged, as a class that Nest makes: with other providers, also of request scope. List it
 * among the providers of a module.
 *
 * @example
 * @Injectable()
 * class TenantKey implements KeyResolver {
 *   constructor(private readonly tenants: TenantService) {}
 *   async resolveKey({ header }: RateLimitContext) { return this.tenants.idOf(header('host')); }
 * }
 */
export interface KeyResolver<Context> {
  /** As a key function. */
  resolveKey(context: Context): Later<string | null | undefined>;
}

/** Works out a rate, as a class that Nest makes: see {@link KeyResolver}. */
export interface RateResolver<Context> {
  /** As a rate function. */
  resolveRate(context: Context): Later<RateInput>;
}

/** A class whose instances Nest makes. */
export type ResolverClass<Resolver> = abstract new (...given: never[]) => Resolver;

/**
 * One limit.
 *
 * @example
 * { name: 'report', rate: { free: '10/day', pro: '100/day', default: '10/day' }, key: 'user' }
 */
export interface LimitOptions<Context> extends ConditionOptions<Context> {
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
  /**
   * After a denial, the bucket denies for this long; of several lengths the first time for the first, the
   * next time for the second, the last for all after it. Forgotten once no block has been for as long as
   * the last of them. Default: not at all.
   */
  readonly block?: Duration | readonly Duration[] | undefined;
  /**
   * What the functions of this limit read: `'user'`, and they are called once the user is known; or
   * `'request'`, and they are called before authentication. Default: found out, and logged.
   */
  readonly needs?: 'user' | 'request' | undefined;
  /**
   * False gives the charge back: `(_context, { status }) => status === 401` counts failed log-ins alone.
   * Asked once of each call that was charged: over HTTP when the response is finished, elsewhere when the
   * handler settles. After a client has hung up, the charge stays until the handler settles. Where it
   * fails, the charge stays. {@link RateLimiter} does not ask. Default: every call counts.
   */
  readonly countWhen?: CountFunction<Context> | undefined;
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
  countWhen: (value) => typeof value === 'function',
  methods: null,
  when: null,
  skipIf: null,
  needs: (value) => value === 'user' || value === 'request',
  message: (value) => typeof value === 'string' && value !== '',
};

export const LIMIT_OPTION_NAMES: readonly string[] = Object.keys(RULES);

const MENDS: Readonly<Record<string, string>> = {
  shadow: 'Give true or false.',
  countWhen: 'Give a function of the context and the result.',
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

/** One limit of a scope: a rate, or options. */
export type ScopeLimit<Context> = RateRule<Context> | LimitOptions<Context>;

/**
 * A named scope: a limit that takes the scope's name, or several. Of several the first takes it, and those
 * without a name are called after it: `login-1`.
 */
export type ScopeRule<Context> =
  | RateRule<Context>
  | (LimitOptions<Context> & { readonly name?: never })
  | readonly ScopeLimit<Context>[];

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
