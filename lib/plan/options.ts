import type { Awaitable } from '../core/awaitable.js';
import type { Duration } from '../core/duration.js';
import type { AlgorithmName, FailMode } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import type { KeyText } from '../identity/key.js';
import type { RateByLoad } from './load.js';

/** A rate by the caller's tier; `default` is for every tier that is not named. */
export type TierMap = Readonly<Record<string, RateInput>> & { readonly default: RateInput };

/** A rate worked out for each request. */
export type RateFunction<Context> = (context: Context) => Awaitable<RateInput>;

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
export type KeyFunction<Context> = (context: Context) => Awaitable<string | null | undefined>;

/** Every way to give a key. */
export type KeyRule<Context> = KeyText | KeyFunction<Context> | ResolverClass<KeyResolver<Context>>;

/** Finds what a request costs: a whole number, 0 or more. */
export type CostFunction<Context> = (context: Context) => Awaitable<number>;

/** Whether a limit applies to a request. */
export type ConditionFunction<Context> = (context: Context) => Awaitable<boolean>;

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
export type CountFunction<Context> = (context: Context, result: CallResult) => Awaitable<boolean>;

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
 * class TenantKey implements KeyResolver<RateLimitContext> {
 *   constructor(private readonly tenants: TenantService) {}
 *   async resolveKey({ header }: RateLimitContext) { return this.tenants.idOf(header('host')); }
 * }
 */
export interface KeyResolver<Context> {
  /** As a key function. */
  resolveKey(context: Context): Awaitable<string | null | undefined>;
}

/** Works out a rate, as a class that Nest makes: see {@link KeyResolver}. */
export interface RateResolver<Context> {
  /** As a rate function. */
  resolveRate(context: Context): Awaitable<RateInput>;
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
  /** How much it admits: a rate, a map of tiers, a function of the context, a class, or by load. */
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
  /**
   * While the store fails: `'local'` goes on in this process, `'open'` lets requests pass, `'closed'` answers
   * 503. Default: the module's `failMode`.
   */
  readonly failMode?: FailMode | undefined;
  /** What a denied client reads in place of the usual message. */
  readonly message?: string | undefined;
}

/** A limit of the module, for every route. */
export interface ModuleLimitOptions<Context> extends LimitOptions<Context> {
  /** `'route'`: a bucket for each route. Default: one bucket for all of them. */
  readonly per?: 'route' | undefined;
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

/** What a decorator has noted of one limit. */
export type DeclaredLimit<Context> =
  | { readonly kind: 'limit'; readonly options: LimitOptions<Context> }
  | { readonly kind: 'scope'; readonly scope: string; readonly overrides: ScopeOverrides<Context> };

/** What `@SkipRateLimit` has noted: every limit from further out, or those of these names. */
export type SkipDeclaration = 'all' | readonly string[];

/** A rate, or a limit with options, as a limit with options. A map of tiers is told by its `default`. */
export const toLimitOptions = <Context>(
  rule: RateRule<Context> | LimitOptions<Context>,
): LimitOptions<Context> =>
  typeof rule === 'object' && rule !== null && 'rate' in rule && !('default' in rule)
    ? (rule as LimitOptions<Context>)
    : { rate: rule as RateRule<Context> };
