export {
  type Algorithm,
  type BucketState,
  EMPTY_STATE,
  type RefundableCharge,
  type Rule,
} from './core/algorithms/algorithm.js';
export { ALGORITHMS, type AlgorithmName } from './core/algorithms/index.js';
export type { Awaitable } from './core/awaitable.js';
export { type Clock, systemClock } from './core/clock.js';
export {
  type BucketUsage,
  type Charge,
  type Decision,
  isDenial,
  type Outcome,
  toDecision,
} from './core/decision.js';
export { type Duration, parseDuration, type Unit } from './core/duration.js';
export type { ErrorReporter } from './core/error-reporter.js';
export { type Problem, type ProblemCode, RateLimitConfigError } from './core/errors.js';
export type { FailMode, Policy } from './core/policy.js';
export { type Rate, type RateInput, type RateObject, type RateText, rate } from './core/rate.js';
export type {
  RateLimitBody,
  RateLimitProblem,
  RateLimitUnavailableBody,
  RateLimitUnavailableProblem,
} from './http/body.js';
export type { HeaderOptions } from './http/headers.js';
export type { Caller, ValueLocation } from './identity/caller.js';
export type { IdentityInput } from './identity/identity.js';
export type { KeyText } from './identity/key.js';
export type { KeyForm } from './identity/key-forms.js';
export type { TrustProxy } from './identity/proxies.js';
export type { LimiterCharge, LimiterTarget, RateLimiterOptions } from './limiter/create.js';
export { RateLimiter } from './limiter/rate-limiter.js';
export type { LimitStatus } from './limiter/status.js';
export type {
  RateLimitContext,
  RateLimitRequest,
  RateLimitUser,
} from './nest/context/call-context.js';
export type { RequestLike, TransportName } from './nest/context/transports.js';
export {
  type ClassOrMethodDecorator,
  OnRateLimit,
  RateLimit,
  type RateLimitOptions,
  type RateLimitRate,
  SkipRateLimit,
  ThrottleScope,
  type ThrottleScopeOverrides,
} from './nest/handlers/decorators.js';
export { RATE_LIMIT_STORE } from './nest/handlers/tokens.js';
export type { AccessList } from './nest/request/access-lists.js';
export {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './nest/request/exceptions.js';
export { RateLimitExceptionFilter } from './nest/request/filter.js';
export { RateLimitGuard } from './nest/request/guard.js';
export type { BodyFunction } from './nest/request/responder.js';
export { type RateLimitHealth, RateLimitHealthIndicator } from './nest/startup/health-indicator.js';
export { RateLimitModule } from './nest/startup/module.js';
export type {
  RateLimitAsyncResult,
  RateLimitModuleAsyncOptions,
  RateLimitModuleLimit,
  RateLimitModuleOptions,
  RateLimitOptionsFactory,
  RateLimitScope,
  RateLimitScopes,
  StatisticsOptions,
} from './nest/startup/options.js';
export type { LogIdentities } from './observe/denial-log.js';
export {
  type BreakerEvent,
  type EventStreamOptions,
  type RateLimitEventHandler,
  type RateLimitEventMap,
  type RateLimitEventName,
  RateLimitEvents,
  type RecoveredEvent,
  type RequestEvent,
} from './observe/events.js';
export type {
  Counts,
  DeniedClient,
  DeniedRoute,
  HourStats,
  LimitStats,
  RouteStats,
  StatsSnapshot,
  UserStats,
} from './observe/stats/snapshot.js';
export { RateLimitStats, type RateLimitStatsOptions, type SnapshotOptions } from './observe/stats/stats.js';
export type {
  MeterLike,
  MetricAttributes,
  MetricDescription,
  MetricResult,
  ObservableMetric,
} from './observe/telemetry.js';
export type { LimitInfo } from './plan/limit.js';
export type { LoadLevel, LoadOptions, LoadSample, LoadThresholds } from './plan/load.js';
export { byLoad, type LoadRates, RateByLoad } from './plan/load.js';
export type {
  AnyLimitOptions,
  BeforeGuards,
  CallResult,
  CommonLimitOptions,
  ConditionFunction,
  CostFunction,
  CountFunction,
  KeyFunction,
  KeyResolver,
  KeyRule,
  LimitOptions,
  ModuleLimitOptions,
  PhaseName,
  RateFunction,
  RateResolver,
  RateRule,
  RequestLimitOptions,
  ResolverClass,
  ScopeLimit,
  ScopeOverrides,
  ScopeRule,
  TierFunction,
  TierMap,
} from './plan/options.js';
export { presets } from './plan/presets.js';
export type { Register, ScopeName } from './plan/register.js';
export type { BreakerSettings, BreakerState } from './resilience/circuit-breaker.js';
export type { ResilienceOptions } from './resilience/options.js';
export type { StoreHealth } from './resilience/resilient-store.js';
export type { ShardHealth } from './resilience/shard-breakers.js';
export { MemoryStore, type MemoryStoreOptions } from './store/memory/memory-store.js';
export type {
  CountBatch,
  HourCounts,
  SharedCounters,
  SharedCounts,
  Tally,
} from './store/shared-counters.js';
export { type Store, type StoreReply, type StoreTarget, StoreUnavailableError } from './store/store.js';
