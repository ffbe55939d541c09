export { type Clock, systemClock } from './core/clock.js';
export type { Charge, Decision, Outcome } from './core/decision.js';
export { type Duration, parseDuration, type Unit } from './core/duration.js';
export { type Problem, type ProblemCode, RateLimitConfigError } from './core/errors.js';
export type { BreakerState, PartHealth, StoreHealth } from './core/health.js';
export type { Later } from './core/later.js';
export type { AlgorithmName, FailMode, Policy } from './core/policy.js';
export { type Rate, type RateInput, type RateObject, type RateText, rate } from './core/rate.js';
export type {
  CountBatch,
  HourCounts,
  SharedCounters,
  SharedCounts,
  Tally,
  UserTally,
} from './core/statistics.js';
export {
  type BreakerEvent,
  type EventStreamOptions,
  type RateLimitEventHandler,
  type RateLimitEventMap,
  type RateLimitEventName,
  RateLimitEvents,
  type RecoveredEvent,
  type RequestEvent,
} from './events/events.js';
export type {
  RateLimitBody,
  RateLimitProblem,
  RateLimitUnavailableBody,
  RateLimitUnavailableProblem,
} from './http/body.js';
export type { HeaderOptions } from './http/headers.js';
export type { Caller, ValueSource } from './key/caller.js';
export type { TrustProxy } from './key/forwarded.js';
export type { IdentityInWords } from './key/identity.js';
export type { KeyForm, KeyText } from './key/key.js';
export type { AccessList } from './nest/access-lists.js';
export type {
  RateLimitContext,
  RateLimitRequest,
  RateLimitUser,
} from './nest/context.js';
export {
  type ClassOrMethodDecorator,
  OnRateLimit,
  RateLimit,
  SkipRateLimit,
  ThrottleScope,
} from './nest/decorators.js';
export type { LogIdentities } from './nest/denial-log.js';
export {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './nest/exceptions.js';
export { RateLimitExceptionFilter } from './nest/filter.js';
export { RateLimitGuard } from './nest/guard.js';
export { type RateLimitHealth, RateLimitHealthIndicator } from './nest/health-indicator.js';
export { RateLimitModule } from './nest/module.js';
export type {
  BodyFunction,
  RateLimitAsyncResult,
  RateLimitModuleAsyncOptions,
  RateLimitModuleLimit,
  RateLimitModuleOptions,
  RateLimitOptions,
  RateLimitOptionsFactory,
  RateLimitRate,
  RateLimitScope,
  RateLimitScopes,
  StatisticsOptions,
  ThrottleScopeOverrides,
} from './nest/options.js';
export type {
  MeterLike,
  MetricAttributes,
  MetricDescription,
  MetricResult,
  ObservableMetric,
} from './nest/telemetry.js';
export { RATE_LIMIT_STORE } from './nest/tokens.js';
export type { RequestLike, TransportName } from './nest/transports/transport.js';
export { byLoad, type LoadRates, RateByLoad } from './plan/by-load.js';
export type { LimitInfo } from './plan/limit.js';
export type { RateLimiterOptions } from './plan/limiter-parts.js';
export type { LimiterCharge, LimiterTarget } from './plan/limiter-target.js';
export type { LoadLevel, LoadOptions, LoadSample, LoadThresholds } from './plan/load.js';
export type {
  CallResult,
  ConditionFunction,
  ConditionOptions,
  CostFunction,
  CountFunction,
  KeyFunction,
  KeyResolver,
  KeyRule,
  LimitOptions,
  ModuleLimitOptions,
  RateFunction,
  RateResolver,
  RateRule,
  ResolverClass,
  ScopeLimit,
  ScopeOverrides,
  ScopeRule,
  TierMap,
} from './plan/options.js';
export { presets } from './plan/presets.js';
export { RateLimiter, type Standing } from './plan/rate-limiter.js';
export type { TierFunction } from './plan/rate-source.js';
export type { Register, ScopeName } from './plan/register.js';
export type { StatsReport } from './stats/sharing.js';
export type {
  Counts,
  DeniedClient,
  DeniedRoute,
  HourStats,
  LimitStats,
  RouteStats,
  StatsSnapshot,
  UserStats,
} from './stats/snapshot.js';
export { RateLimitStats, type RateLimitStatsOptions, type SnapshotOptions } from './stats/stats.js';
export { MemoryStore, type MemoryStoreOptions } from './store/memory/memory-store.js';
export type { BreakerSettings } from './store/resilience/breaker.js';
export type { ResilienceOptions } from './store/resilience/resilience.js';
export { type Store, type StoreReply, type StoreTarget, StoreUnavailableError } from './store/store.js';
