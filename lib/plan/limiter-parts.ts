import { systemClock } from '../core/clock.js';
import { Problems } from '../core/errors.js';
import { type AlgorithmName, DEFAULT_ALGORITHM, DEFAULT_FAIL_MODE, type FailMode } from '../core/policy.js';
import { addressForm, DEFAULT_IPV6_PREFIX } from '../key/address.js';
import type { Caller } from '../key/caller.js';
import { hashingFor } from '../key/hash.js';
import type { IdentityForm } from '../key/identity.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import { type ResilienceOptions, resilienceOf } from '../store/resilience/resilience.js';
import { ResilientStore } from '../store/resilience/resilient-store.js';
import type { Store } from '../store/store.js';
import { checkResilience } from './check-resilience.js';
import type { ScopeRule } from './options.js';
import { OutageLog } from './outages.js';
import type { Report } from './report.js';
import { resolveNothing } from './resolve.js';
import { sampled } from './sampled-report.js';
import { Scopes } from './scopes.js';

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
    readonly identity: IdentityForm,
  ) {}
}

const emitWarning = (text: string): void => process.emitWarning(text, { type: 'RateLimitWarning' });

/** Reports of a limiter, which has no logger of its own. */
export const warn: Report = sampled(systemClock, emitWarning);

/**
 * Compiles what a limiter outside Nest works with.
 *
 * @throws RateLimitConfigError with every mistake in the scopes.
 */
export function partsOf(options: RateLimiterOptions): LimiterParts {
  const store: Store = options.store ?? new MemoryStore();
  checkResilience(options);
  const hashing = hashingFor(store.secret, store.shared === true);
  const scopes = new Scopes<Caller>({
    key: 'ip',
    algorithm: options.algorithm ?? DEFAULT_ALGORITHM,
    tier: () => undefined,
    resolve: resolveNothing,
    shadow: false,
    failMode: options.failMode ?? DEFAULT_FAIL_MODE,
    ...hashing,
    report: warn,
  });
  const problems = new Problems();
  scopes.add({ scopes: options.scopes, place: 'scopes' }, problems);
  problems.throwIfAny();
  const identity = { hash: hashing.hash, address: addressForm(DEFAULT_IPV6_PREFIX) };
  const outages = new OutageLog(warn, emitWarning);
  return new LimiterParts(scopes, new ResilientStore(store, resilienceOf(options), outages), true, identity);
}
