import type { AlgorithmName } from '../core/algorithms/index.js';
import type { Awaitable } from '../core/awaitable.js';
import type { Duration } from '../core/duration.js';
import type { FailMode } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import type { KeyText } from '../identity/key.js';
import type { RateByLoad } from './load.js';

/** A rate by the client's tier; `default` is for every tier that is not named. */
export type TierMap = Readonly<Record<string, RateInput>> & { readonly default: RateInput };

/** Returns the client's tier, or a promise of it; a value that is not a text stands for no tier. */
export type TierFunction<Context> = (context: Context) => unknown;

/** Computes a rate for each request. */
export type RateFunction<Context> = (context: Context) => Awaitable<RateInput>;

/** A rate: fixed, by tier, by load, or computed for each request. */
export type RateRule<Context> =
  | RateInput
  | TierMap
  | RateFunction<Context>
  | RateByLoad
  | ResolverClass<RateResolver<Context>>;

/**
 * Returns who is charged: an identity, null to skip the limit, or undefined to charge the address because the request
 * lacks what the key needs. An empty string, or anything else that is not an identity, is logged and charges
 * the address.
 */
export type KeyFunction<Context> = (context: Context) => Awaitable<string | null | undefined>;

/** A key: text, a function of the context, or a class that Nest instantiates. */
export type KeyRule<Context> = KeyText | KeyFunction<Context> | ResolverClass<KeyResolver<Context>>;

/** Returns what a request costs: a whole number, 0 or more. */
export type CostFunction<Context> = (context: Context) => Awaitable<number>;

/** Returns true if a condition of a limit holds for a request. */
export type ConditionFunction<Context> = (context: Context) => Awaitable<boolean>;

/** The result of a call. */
export interface CallResult {
  /**
   * The HTTP status that was sent. Over other transports, and where no response was sent: the status of the error,
   * undefined if it has none.
   */
  readonly status?: number | undefined;
  /** The handler's return value, the last value of an Observable. */
  readonly value?: unknown;
  /** The error that the handler, or a pipe of it, threw. */
  readonly error?: unknown;
}

/** Returns false if a call does not count, now that its result is known. */
export type CountFunction<Context> = (context: Context, result: CallResult) => Awaitable<boolean>;

/**
 * Finds who is charged, as a class that Nest instantiates: it can inject providers, also request-scoped ones. List it
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
  /** Does what a key function does. */
  resolveKey(context: Context): Awaitable<string | null | undefined>;
}

/** Computes a rate, as a class that Nest instantiates: see {@link KeyResolver}. */
export interface RateResolver<Context> {
  /** Does what a rate function does. */
  resolveRate(context: Context): Awaitable<RateInput>;
}

/** A class that Nest instantiates. */
export type ResolverClass<Resolver> = abstract new (...given: never[]) => Resolver;

/**
 * When a limit is decided: before the guards that run after `RateLimitGuard`, such as authentication, so that it also
 * counts requests that they reject; or after them, when the user is known.
 */
export type PhaseName = 'before-guards' | 'after-guards';

/** The type of the context before the guards have run: it lacks the user, whom only middleware has set by then. */
export type BeforeGuards<Context> = Omit<Context, 'user' | 'userId' | 'authenticated'>;

/** The options of a limit that its phase does not bear on. */
export interface CommonLimitOptions<Context> {
  /**
   * Names the limit in headers and bodies. A limit closer to the method overrides one with the same name.
   * Printable ASCII. Default: made from the method's name and the limit's position among its decorators.
   */
  readonly name?: string | undefined;
  /** Default: the module's `algorithm`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** Capacity of a token bucket in units, 1 or more. Default: the limit. */
  readonly burst?: number | undefined;
  /** Decides and reports, but never denies and is not sent in headers. Default false. */
  readonly shadow?: boolean | undefined;
  /**
   * After a denial, the bucket denies every request for this long. With several durations, the first denial
   * blocks for the first, the next for the second, and so on; the last repeats. Offenses are forgotten once no
   * block has occurred for as long as the last duration. Default: no block.
   */
  readonly block?: Duration | readonly Duration[] | undefined;
  /** Applies the limit only to these HTTP methods, in capital letters. GET includes HEAD. Default: all calls. */
  readonly methods?: readonly string[] | undefined;
  /**
   * Returns false to give the charge back: `(_context, { status }) => status === 401` counts only failed logins.
   * Called once for each charged call: over HTTP when the response is finished, elsewhere when the handler
   * settles. After a client has hung up, the charge stays until the handler settles. If it fails, the charge
   * stays. {@link RateLimiter} does not call it. Default: every call counts.
   */
  readonly countWhen?: CountFunction<Context> | undefined;
  /**
   * While the store fails: `'local'` goes on limiting in this process, `'open'` lets requests pass, `'closed'`
   * responds with 503. Default: the module's `failMode`.
   */
  readonly failMode?: FailMode | undefined;
  /** Replaces the default message of a denial. */
  readonly message?: string | undefined;
}

/** The options of a limit that are functions of the request, or may be. */
export interface RequestLimitOptions<Context> {
  /** A rate, a map of tiers, a function of the context, a class, or a rate by load. */
  readonly rate: RateRule<Context>;
  /** Default: the module's `key`. */
  readonly key?: KeyRule<Context> | undefined;
  /** Units that a request costs, a whole number of 0 or more. Default 1. */
  readonly cost?: number | CostFunction<Context> | undefined;
  /** Applies the limit only if it returns true. If it fails, the limit applies. */
  readonly when?: ConditionFunction<Context> | undefined;
  /** Skips the limit if it returns true. If it fails, the limit applies. */
  readonly skipIf?: ConditionFunction<Context> | undefined;
}

/**
 * One limit.
 *
 * `phase` says when it is decided. Without it, limits on `user` and `anon` and maps of tiers are decided after the
 * other guards, all others before them. A limit whose key, rate, cost, `when` or `skipIf` is a function or class
 * must state its phase on routes where other guards run after `RateLimitGuard`.
 *
 * @example
 * { name: 'report', rate: { free: '10/day', pro: '100/day', default: '10/day' }, key: 'user' }
 */
export type LimitOptions<Context> = CommonLimitOptions<Context> &
  (
    | (RequestLimitOptions<BeforeGuards<Context>> & { readonly phase: 'before-guards' })
    | (RequestLimitOptions<Context> & { readonly phase?: 'after-guards' | undefined })
  );

/**
 * One limit of either phase, whose functions take the whole context: under `before-guards`, no guard has set the user yet. Used
 * where TypeScript cannot tell the phases apart, because a rate may be given in place of the options.
 */
export type AnyLimitOptions<Context> = CommonLimitOptions<Context> &
  RequestLimitOptions<Context> & { readonly phase?: PhaseName | undefined };

/** A limit of the module, for every route. */
export type ModuleLimitOptions<Context> = LimitOptions<Context> & {
  /** `'route'`: a bucket for each route. Default: one bucket for all of them. */
  readonly per?: 'route' | undefined;
};

/** One limit of a scope: a rate, or options. */
export type ScopeLimit<Context> = RateRule<Context> | AnyLimitOptions<Context>;

/**
 * A named scope: one limit, which takes the scope's name, or several. Of several, the first takes the name, and those
 * without a name of their own are numbered: `login-1`.
 */
export type ScopeRule<Context> =
  | RateRule<Context>
  | (AnyLimitOptions<Context> & { readonly name?: never })
  | readonly ScopeLimit<Context>[];

/** Changes how one use of a scope charges requests, but not the bucket that they share. */
export type ScopeOverrides<Context> =
  | (Pick<RequestLimitOptions<BeforeGuards<Context>>, 'key' | 'cost'> & { readonly phase: 'before-guards' })
  | (Pick<RequestLimitOptions<Context>, 'key' | 'cost'> & { readonly phase?: 'after-guards' | undefined });

/** One limit as a decorator has recorded it. */
export type DeclaredLimit<Context> =
  | { readonly kind: 'limit'; readonly options: AnyLimitOptions<Context> }
  | { readonly kind: 'scope'; readonly scope: string; readonly overrides: ScopeOverrides<Context> };

/** The limits that `@SkipRateLimit` removes: every outer one, or those with these names. */
export type SkipDeclaration = 'all' | readonly string[];

/** Turns a rate into a limit with options. A map of tiers is recognized by its `default`. */
export const toLimitOptions = <Context>(
  rule: RateRule<Context> | LimitOptions<Context> | AnyLimitOptions<Context>,
): AnyLimitOptions<Context> =>
  typeof rule === 'object' && rule !== null && 'rate' in rule && !('default' in rule)
    ? (rule as AnyLimitOptions<Context>)
    : { rate: rule as RateRule<Context> };
