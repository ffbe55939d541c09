import type { FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { Awaitable } from '../../core/awaitable.js';
import type { Outcome } from '../../core/decision.js';
import type { AlgorithmName, FailMode } from '../../core/policy.js';
import type { HeaderOptions } from '../../http/headers.js';
import type { TrustProxy } from '../../identity/proxies.js';
import type { LogIdentities } from '../../observe/denial-log.js';
import type { RateLimitStatsOptions } from '../../observe/stats/stats.js';
import type { MeterLike } from '../../observe/telemetry.js';
import type {
  KeyRule,
  LimitOptions,
  ModuleLimitOptions,
  RateRule,
  ScopeOverrides,
  ScopeRule,
} from '../../plan/options.js';
import type { TierFunction } from '../../plan/rate-source.js';
import type { ScopeName } from '../../plan/register.js';
import type { ResilienceOptions } from '../../resilience/options.js';
import type { Store } from '../../store/store.js';
import type { RateLimitContext, RateLimitRequest } from '../context/call-context.js';
import type { AccessList } from '../request/access-lists.js';

/** A rate for `@RateLimit`: fixed, by tier, or a function of the context. */
export type RateLimitRate = RateRule<RateLimitContext>;

/** The options of `@RateLimit`. */
export type RateLimitOptions = LimitOptions<RateLimitContext>;

/** A limit of the module. */
export type RateLimitModuleLimit = ModuleLimitOptions<RateLimitContext>;

/** A named scope: a rate, or options. */
export type RateLimitScope = ScopeRule<RateLimitContext>;

/** What one use of a scope may change. */
export type ThrottleScopeOverrides = ScopeOverrides<RateLimitContext>;

/** Named scopes. */
export type RateLimitScopes = Readonly<Partial<Record<ScopeName, RateLimitScope>>>;

/** Makes the body of a 429: what it gives is sent as it is. */
export type BodyFunction = (outcome: Outcome, context: RateLimitContext) => unknown;

/** How requests are counted. */
export type StatisticsOptions = Pick<RateLimitStatsOptions, 'keepHours'>;

/** The options of `RateLimitModule.forRoot`. */
export interface RateLimitModuleOptions extends ResilienceOptions {
  /** Where buckets are kept. Default: a `MemoryStore` of this process. */
  readonly store?: Store | undefined;
  /** Limits that routes share by name, for `@ThrottleScope` and `RateLimiter`. */
  readonly scopes?: RateLimitScopes | undefined;
  /** Limits of every route. */
  readonly limits?: readonly RateLimitModuleLimit[] | undefined;
  /** Who is charged under limits that do not say. Default `'ip'`. */
  readonly key?: KeyRule<RateLimitContext> | undefined;
  /** How charges fade under limits that do not say. Default `'sliding-window'`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** The caller's tier, for maps of tiers. One that the map does not name takes its `default`. */
  readonly tier?: TierFunction<RateLimitContext> | undefined;
  /**
   * The signed-in user's id, at once: text, a number, or an object that prints itself; null or undefined
   * for an anonymous caller. Default: `id`, `sub` or `userId` of `request.user`.
   */
  readonly user?: ((request: RateLimitRequest) => unknown) | undefined;
  /** Whose requests spend nothing and carry no headers. Default: nobody's. */
  readonly exempt?: ((context: RateLimitContext) => Awaitable<boolean>) | undefined;
  /** False: everything passes and nothing is stored. Mistakes are still found at start-up. Default true. */
  readonly enabled?: boolean | undefined;
  /** Which headers are sent under which names; false for none. */
  readonly headers?: false | HeaderOptions | undefined;
  /** The 429's body: `'json'` (the default), `'problem'` for RFC 9457, or a function. */
  readonly body?: 'json' | 'problem' | BodyFunction | undefined;
  /** Under what header values and long identities are hashed. Default: random for each process. */
  readonly secret?: string | undefined;
  /** Whether limits that do not say only report. Default false. */
  readonly shadow?: boolean | undefined;
  /**
   * What becomes of limits that do not say while the store fails: `'local'` goes on in this process, `'open'`
   * lets requests pass, `'closed'` answers 503. Default `'local'`.
   */
  readonly failMode?: FailMode | undefined;
  /** Addresses, networks and functions of callers that no limit counts. Default: none. */
  readonly allow?: AccessList | undefined;
  /** Addresses, networks and functions of callers that are refused with 403; goes before `allow`. Default: none. */
  readonly deny?: AccessList | undefined;
  /**
   * Which hops of `X-Forwarded-For` are believed: how many, counted from this server, or which networks.
   * Default: as the platform has been told.
   */
  readonly trustProxy?: TrustProxy | undefined;
  /** Whether denials are logged: a warning a minute for each client and limit. Default true. */
  readonly logDenials?: boolean | undefined;
  /**
   * How denied clients stand in that log: as they are, as a hash under the module's `secret`, or not at all.
   * Default `'plain'`.
   */
  readonly logIdentities?: LogIdentities | undefined;
  /**
   * Whether requests are counted for `RateLimitStats`, and for how long counts are kept. In the background, and
   * for all processes where the store can share counts. Default true.
   */
  readonly statistics?: boolean | StatisticsOptions | undefined;
  /**
   * Where to measure for OpenTelemetry: `metrics.getMeter('nestjs-ratelimit')` of `@opentelemetry/api`. Default:
   * nothing is measured.
   */
  readonly meter?: MeterLike | undefined;
  /** How many bits of an IPv6 address are one caller, 1 to 128. Default 64. */
  readonly ipv6Prefix?: number | undefined;
  /** Whether the guard is registered for all routes. Default true. */
  readonly registerGuard?: boolean | undefined;
}

/** Options that a factory makes: what has to be known before it runs stands beside it. */
export type RateLimitAsyncResult = Omit<RateLimitModuleOptions, 'registerGuard'>;

/** A class that makes the options, for `useClass` and `useExisting`. */
export interface RateLimitOptionsFactory {
  /** What `useFactory` would return. */
  createRateLimitOptions(): Awaitable<RateLimitAsyncResult>;
}

/** The options of `RateLimitModule.forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. */
export interface RateLimitModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  /** What `useFactory` is called with. */
  readonly inject?: FactoryProvider['inject'];
  /** Returns the options, at once or later. */
  readonly useFactory?: FactoryProvider<RateLimitAsyncResult>['useFactory'];
  /** A class that is made for this. */
  readonly useClass?: Type<RateLimitOptionsFactory>;
  /** A provider that there is, of a module among `imports`. */
  readonly useExisting?: Type<RateLimitOptionsFactory> | string | symbol;
  /** Whether the guard is registered for all routes. Default true. */
  readonly registerGuard?: boolean;
}
