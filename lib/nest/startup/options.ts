import type { FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { AlgorithmName } from '../../core/algorithms/index.js';
import type { Awaitable } from '../../core/awaitable.js';
import type { FailMode } from '../../core/policy.js';
import type { HeaderOptions } from '../../http/headers.js';
import type { TrustProxy } from '../../identity/proxies.js';
import type { LogIdentities } from '../../observe/denial-log.js';
import type { RateLimitStatsOptions } from '../../observe/stats/stats.js';
import type { MeterLike } from '../../observe/telemetry.js';
import type { KeyRule, ModuleLimitOptions, ScopeRule, TierFunction } from '../../plan/options.js';
import type { ScopeName } from '../../plan/register.js';
import type { ResilienceOptions } from '../../resilience/options.js';
import type { Store } from '../../store/store.js';
import type { RateLimitContext, RateLimitRequest } from '../context/call-context.js';
import type { AccessList } from '../request/access-lists.js';
import type { BodyFunction } from '../request/responder.js';

/** A limit of the module, for every route. */
export type RateLimitModuleLimit = ModuleLimitOptions<RateLimitContext>;

/** The limits of a named scope: a rate, options, or a list of these. */
export type RateLimitScope = ScopeRule<RateLimitContext>;

/** The limits of each named scope. */
export type RateLimitScopes = Readonly<Partial<Record<ScopeName, RateLimitScope>>>;

/** Options of the statistics. */
export type StatisticsOptions = Pick<RateLimitStatsOptions, 'keepHours'>;

/** The options of `RateLimitModule.forRoot`. */
export interface RateLimitModuleOptions extends ResilienceOptions {
  /** Keeps the buckets. Default: a `MemoryStore` of this process. */
  readonly store?: Store | undefined;
  /** Limits that routes share by name, for `@ThrottleScope` and `RateLimiter`. */
  readonly scopes?: RateLimitScopes | undefined;
  /** Limits of every route. */
  readonly limits?: readonly RateLimitModuleLimit[] | undefined;
  /** The key of limits that do not set one. Default `'ip'`. */
  readonly key?: KeyRule<RateLimitContext> | undefined;
  /** The algorithm of limits that do not set one. Default `'sliding-window'`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** Returns the client's tier, for maps of tiers. A tier that the map does not name takes its `default`. */
  readonly tier?: TierFunction<RateLimitContext> | undefined;
  /**
   * Returns the id of the logged-in user: text, a number, or an object with its own `toString`; null or
   * undefined for an anonymous client. Must be synchronous. Default: `id`, `sub` or `userId` of
   * `request.user`.
   */
  readonly user?: ((request: RateLimitRequest) => unknown) | undefined;
  /**
   * Returns true for a client whose requests are not charged and get no headers. Called after the guards, so a used-up
   * limit that is decided before them denies the client nevertheless. Default: no client.
   */
  readonly exempt?: ((context: RateLimitContext) => Awaitable<boolean>) | undefined;
  /**
   * False lets every request pass and stores nothing; start-up still checks the configuration. Default true.
   */
  readonly enabled?: boolean | undefined;
  /** The headers to send, and their names; false for none. */
  readonly headers?: false | HeaderOptions | undefined;
  /** The body of a 429: `'json'` (the default), `'problem'` for RFC 9457, or a function. */
  readonly body?: 'json' | 'problem' | BodyFunction | undefined;
  /** The key of the hashes of header values and long identities. Default: random for each process. */
  readonly secret?: string | undefined;
  /** True makes limits that do not set `shadow` only report. Default false. */
  readonly shadow?: boolean | undefined;
  /**
   * The fail mode of limits that do not set one, for while the store fails: `'local'` decides in this
   * process, `'open'` lets requests pass, `'closed'` responds with 503. Default `'local'`.
   */
  readonly failMode?: FailMode | undefined;
  /** Clients that no limit applies to: addresses, networks and functions. Default: none. */
  readonly allow?: AccessList | undefined;
  /**
   * Clients that are rejected with 403: addresses, networks and functions. Overrides `allow`. Default: none.
   */
  readonly deny?: AccessList | undefined;
  /**
   * The trusted hops of `X-Forwarded-For`: their number, counted from this server, or their networks.
   * Default: the setting of the platform.
   */
  readonly trustProxy?: TrustProxy | undefined;
  /** True logs denials: at most one warning per minute for each client and limit. Default true. */
  readonly logDenials?: boolean | undefined;
  /**
   * The form of denied clients in that log: `'plain'`, `'hashed'` with the module's `secret`, or `'none'`.
   * Default `'plain'`.
   */
  readonly logIdentities?: LogIdentities | undefined;
  /**
   * True, or options, counts requests for `RateLimitStats`: in the background, and for all processes if the
   * store can share counts. Default: true if `RateLimitAdminModule` is imported, which shows them.
   */
  readonly statistics?: boolean | StatisticsOptions | undefined;
  /**
   * The meter for OpenTelemetry metrics: `metrics.getMeter('nestjs-ratelimit')` of `@opentelemetry/api`.
   * Default: no metrics.
   */
  readonly meter?: MeterLike | undefined;
  /** The number of bits of an IPv6 address that identify a client, 1 to 128. Default 64. */
  readonly ipv6Prefix?: number | undefined;
  /** True registers the guard for all routes. Default true. */
  readonly registerGuard?: boolean | undefined;
}

/** The options that a factory returns; `registerGuard` has to be known before the factory runs. */
export type RateLimitAsyncResult = Omit<RateLimitModuleOptions, 'registerGuard'>;

/** A class that creates the options, for `useClass` and `useExisting`. */
export interface RateLimitOptionsFactory {
  /** Returns the options, or a promise of them. */
  createRateLimitOptions(): Awaitable<RateLimitAsyncResult>;
}

/** The options of `RateLimitModule.forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. */
export interface RateLimitModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  /** The providers that `useFactory` takes as arguments. */
  readonly inject?: FactoryProvider['inject'];
  /** Returns the options, or a promise of them. */
  readonly useFactory?: FactoryProvider<RateLimitAsyncResult>['useFactory'];
  /** A class that Nest creates for this. */
  readonly useClass?: Type<RateLimitOptionsFactory>;
  /** An existing provider of a module in `imports`. */
  readonly useExisting?: Type<RateLimitOptionsFactory> | string | symbol;
  /** True registers the guard for all routes. Default true. */
  readonly registerGuard?: boolean;
}
