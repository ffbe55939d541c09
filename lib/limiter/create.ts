import { ALGORITHM_NAMES, type AlgorithmName } from '../core/algorithms/index.js';
import { steadyClock } from '../core/clock.js';
import { type ErrorReporter, throttled } from '../core/error-reporter.js';
import { configError, describeValue, ErrorCollector } from '../core/errors.js';
import { FAIL_MODES, type FailMode, type Policy } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import {
  areOptions,
  isInteger,
  isNonEmptyString,
  isObject,
  type OptionRule,
  type OptionRules,
  oneOf,
  validateOptions,
  wholeNumber,
} from '../core/validate.js';
import { addressNormalizer, DEFAULT_IPV6_PREFIX } from '../identity/addresses.js';
import type { Caller } from '../identity/caller.js';
import { hashingFor } from '../identity/hash.js';
import type { IdentityInput } from '../identity/identity.js';
import type { IdentityFormat } from '../identity/key-forms.js';
import type { Limit } from '../plan/limit.js';
import type { ScopeRule } from '../plan/options.js';
import type { ScopeName } from '../plan/register.js';
import { rejectResolvers } from '../plan/resolvers.js';
import { Scopes } from '../plan/scopes.js';
import { type GuardedStore, guardStore } from '../resilience/guard-store.js';
import { type ResilienceOptions, resilienceSettings } from '../resilience/options.js';
import { createOutageLog } from '../resilience/outage-log.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import type { Store } from '../store/store.js';

/** The options of a `RateLimiter` without Nest. */
export interface RateLimiterOptions<Scope extends string = string> extends ResilienceOptions {
  /** The named scopes whose limits it checks. */
  readonly scopes: Readonly<Record<Scope, ScopeRule<Caller>>>;
  /** Default: a {@link MemoryStore}. */
  readonly store?: Store | undefined;
  /** The algorithm of scopes that do not set one. Default `sliding-window`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** The fail mode of scopes that do not set one. Default `local`. */
  readonly failMode?: FailMode | undefined;
}

const STORE_METHODS = ['consume', 'peek', 'refund', 'reset', 'block', 'unblock'];

const MAX_TIMEOUT_MS = 60_000;

const BREAKER_RULES: OptionRules<keyof NonNullable<ResilienceOptions['breaker']>> = {
  threshold: wholeNumber(1, 1_000),
  initialBackoffMs: wholeNumber(1, 1_000),
};

/** The rules of a limiter's options; the module has the same options. */
export const RATE_LIMITER_RULES: OptionRules<keyof RateLimiterOptions> = {
  store: {
    accepts: (value) =>
      isObject(value) &&
      STORE_METHODS.every((method) => method in value) &&
      isNonEmptyString((value as Partial<Store>).name),
    fix: 'Give a Store with a name and all methods, such as new RedisStore() of nestjs-ratelimit/redis, or leave it out for one in memory.',
  },
  scopes: { accepts: isObject, fix: `Give rates by name, such as { login: '5/15min' }.` },
  algorithm: {
    accepts: (value) => (ALGORITHM_NAMES as readonly unknown[]).includes(value),
    fix: `Choose one of ${ALGORITHM_NAMES.join(', ')}.`,
  },
  failMode: oneOf(...FAIL_MODES),
  timeoutMs: {
    accepts: isInteger(1, MAX_TIMEOUT_MS),
    fix: `Give whole milliseconds from 1 to ${MAX_TIMEOUT_MS}; 100 is usual.`,
  },
  instances: {
    accepts: isInteger(1, 1_000_000),
    fix: 'Give the number of processes, 1 or more.',
  },
  breaker: {
    accepts: areOptions(BREAKER_RULES),
    fix: 'Give { threshold: 5, initialBackoffMs: 100 }, or one of the two.',
  },
};

/** The scopes of a limiter, of any context: a limiter calls no function that reads one. */
export type LimiterScopes = Pick<Scopes<never>, 'get' | 'names'>;

/** The constructor arguments of a limiter whose options are compiled already. */
export type CompiledLimiter = readonly [
  scopes: LimiterScopes,
  store: GuardedStore,
  identityFormat: IdentityFormat,
  enabled: boolean,
];

const emitWarning = (text: string): void => process.emitWarning(text, { type: 'RateLimitWarning' });

/** Reports the errors of limiters without Nest, which have no logger. */
export const warnOnce: ErrorReporter = throttled(steadyClock, emitWarning);

/**
 * Compiles the options of a limiter without Nest.
 *
 * @throws RateLimitConfigError for invalid options, and with at least one error of each wrong scope.
 */
export function compileLimiter(options: RateLimiterOptions): CompiledLimiter {
  validateOptions(options, RATE_LIMITER_RULES, 'RateLimiter');
  const errors = new ErrorCollector();
  if (options.scopes === undefined) {
    const { fix } = RATE_LIMITER_RULES.scopes as OptionRule;
    errors.add('bad-option', 'RateLimiter', 'The option "scopes" is missing, so there are no limits.', fix);
    errors.throwIfAny();
  }
  const store: Store = options.store ?? new MemoryStore();
  const hashing = hashingFor(store.secret, store.shared === true);
  const scopes = new Scopes<Caller>({
    key: 'ip',
    algorithm: options.algorithm,
    tier: () => undefined,
    resolve: rejectResolvers,
    failMode: options.failMode,
    ...hashing,
    report: warnOnce,
  });
  scopes.add({ scopes: options.scopes, source: 'scopes' }, errors);
  errors.throwIfAny();
  const onEvent = createOutageLog(warnOnce, emitWarning);
  const guardedStore = guardStore(store, resilienceSettings(options), onEvent);
  const identityFormat = { hash: hashing.hash, address: addressNormalizer(DEFAULT_IPV6_PREFIX) };
  return [scopes, guardedStore, identityFormat, true];
}

/** One identity under one scope. */
export interface LimiterTarget<Scope extends string = ScopeName> {
  /** A scope of the module, or of the options of this `RateLimiter`. */
  readonly scope: Scope;
  /**
   * The identity to charge, as `kind:value`: `user:42`, `ip:203.0.113.7`, or a kind of your own. A list names
   * identities that are charged together, for a key such as `ip+user`.
   */
  readonly identity: IdentityInput;
  /** The identity's tier, for a scope with a map of tiers. */
  readonly tier?: string | undefined;
  /** The rate, for a scope whose rate is a function of the request. */
  readonly rate?: RateInput | undefined;
}

/** A charge to one identity under one scope. */
export interface LimiterCharge<Scope extends string = ScopeName> extends LimiterTarget<Scope> {
  /** Units: a whole number, 0 or more. Default 1. Any other value is reported and counts as 1. */
  readonly cost?: number | undefined;
}

/** Returns the identity; throws `bad-key` if it is not a text, or a list of texts. */
export function requireIdentity(identity: IdentityInput): IdentityInput {
  const isValid = Array.isArray(identity)
    ? identity.length > 0 && identity.every(isNonEmptyString)
    : isNonEmptyString(identity);
  if (isValid) return identity;
  throw configError(
    'bad-key',
    `${describeValue(identity)} is not an identity.`,
    `Give a text that is not empty, as kind:value, such as 'user:42'; or a list of texts that are charged together.`,
  );
}

/**
 * Returns the policy of a scope's limit for a target, or null if it is unlimited.
 *
 * @throws RateLimitConfigError `bad-rate` if the rate is a function and the target has no rate.
 */
export function policyForTarget(
  { rate: source }: Limit<never>,
  { scope, tier, rate }: LimiterTarget<string>,
): Policy | null {
  if (source.kind === 'fixed') return source.policy;
  if (source.kind === 'tiers') return source.forTier(tier);
  if (source.kind === 'load') return source.policyFor();
  if (rate !== undefined) return source.forRate(rate);
  throw configError(
    'bad-rate',
    `The rate of the scope ${describeValue(scope)} is a function of a request, and there is no request here.`,
    'Pass the rate: limiter.consume({ scope, identity, rate }).',
  );
}
