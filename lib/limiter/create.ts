import { systemClock } from '../core/clock.js';
import { type ErrorReporter, throttled } from '../core/error-reporter.js';
import { configError, describeValue, ErrorCollector } from '../core/errors.js';
import {
  type AlgorithmName,
  DEFAULT_ALGORITHM,
  DEFAULT_FAIL_MODE,
  type FailMode,
  type Policy,
} from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import { isNonEmptyString } from '../core/validate.js';
import { addressNormalizer, DEFAULT_IPV6_PREFIX } from '../identity/addresses.js';
import type { Caller } from '../identity/caller.js';
import { hashingFor } from '../identity/hash.js';
import type { IdentityFormat, IdentityInput } from '../identity/identity.js';
import type { Limit } from '../plan/limit.js';
import type { ScopeRule } from '../plan/options.js';
import type { ScopeName } from '../plan/register.js';
import { rejectResolvers } from '../plan/resolvers.js';
import { Scopes } from '../plan/scopes.js';
import { type ResilienceOptions, resilienceSettings } from '../resilience/options.js';
import { OutageLog } from '../resilience/outage-log.js';
import { ResilientStore } from '../resilience/resilient-store.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import type { Store } from '../store/store.js';
import { validateResilience } from './resilience-options.js';

/** What a `RateLimiter` outside Nest is made from. */
export interface RateLimiterOptions<Scope extends string = string> extends ResilienceOptions {
  /** The named scopes that it decides under. */
  readonly scopes: Readonly<Record<Scope, ScopeRule<Caller>>>;
  /** Default: a {@link MemoryStore}. */
  readonly store?: Store | undefined;
  /** For scopes that name none. Default `sliding-window`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** For scopes that name none. Default `local`. */
  readonly failMode?: FailMode | undefined;
}

/** What a limiter works with, compiled: for the module, which has compiled its scopes already. */
export class LimiterParts {
  constructor(
    readonly scopes: Pick<Scopes<never>, 'get' | 'names'>,
    readonly store: ResilientStore,
    readonly enabled: boolean,
    readonly identity: IdentityFormat,
  ) {}
}

const emitWarning = (text: string): void => process.emitWarning(text, { type: 'RateLimitWarning' });

/** Reports of a limiter, which has no logger of its own. */
export const warnOnce: ErrorReporter = throttled(systemClock, emitWarning);

/**
 * Compiles what a limiter outside Nest works with.
 *
 * @throws RateLimitConfigError with every mistake in the scopes.
 */
export function partsOf(options: RateLimiterOptions): LimiterParts {
  const store: Store = options.store ?? new MemoryStore();
  validateResilience(options);
  const hashing = hashingFor(store.secret, store.shared === true);
  const scopes = new Scopes<Caller>({
    key: 'ip',
    algorithm: options.algorithm ?? DEFAULT_ALGORITHM,
    tier: () => undefined,
    resolve: rejectResolvers,
    shadow: false,
    failMode: options.failMode ?? DEFAULT_FAIL_MODE,
    ...hashing,
    report: warnOnce,
  });
  const errors = new ErrorCollector();
  scopes.add({ scopes: options.scopes, source: 'scopes' }, errors);
  errors.throwIfAny();
  const identity = { hash: hashing.hash, address: addressNormalizer(DEFAULT_IPV6_PREFIX) };
  const outages = new OutageLog(warnOnce, emitWarning);
  return new LimiterParts(
    scopes,
    new ResilientStore(store, resilienceSettings(options), outages),
    true,
    identity,
  );
}

/** One identity under one scope. */
export interface LimiterTarget<Scope extends string = ScopeName> {
  /** A scope of the module, or of the options of this `RateLimiter`. */
  readonly scope: Scope;
  /**
   * Who is charged, as `kind:value`: `user:42`, `ip:203.0.113.7`, or a kind of your own; a list of them for
   * a key such as `ip+user`.
   */
  readonly identity: IdentityInput;
  /** The identity's tier, for a scope with a map of tiers. */
  readonly tier?: string | undefined;
  /** The rate, for a scope whose rate is a function of the request. */
  readonly rate?: RateInput | undefined;
}

/** A charge to one identity under one scope. */
export interface LimiterCharge<Scope extends string = ScopeName> extends LimiterTarget<Scope> {
  /** Units, a whole number of 0 or more; default 1. Anything else is reported and counts as 1. */
  readonly cost?: number | undefined;
}

/** The identity; throws `bad-key` for what is none. */
export function requireIdentity(identity: IdentityInput): IdentityInput {
  const fits = Array.isArray(identity)
    ? identity.length > 0 && identity.every(isNonEmptyString)
    : isNonEmptyString(identity);
  if (fits) return identity;
  throw configError(
    'bad-key',
    `${describeValue(identity)} is no identity.`,
    `Give a text that is not empty, as kind:value, such as 'user:42'; or a list of those charged together.`,
  );
}

/** The policy of a scope's limit for a target, null for none; throws `bad-rate` where the target lacks a rate. */
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
    `The rate of the scope ${describeValue(scope)} is a function of a request, and there is none here.`,
    'Give the rate along: limiter.consume({ scope, identity, rate }).',
  );
}
