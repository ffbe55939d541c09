import { lru } from 'tiny-lru';
import { ALGORITHMS } from '../core/algorithms/index.js';
import { type Decision, withoutCharge } from '../core/decision.js';
import type { Policy } from '../core/policy.js';

const MAX_BUCKETS = 100_000;

/** The store's last decision on a bucket, and when it arrived by the clock of this process. */
export interface Observation {
  readonly decision: Decision;
  readonly observedAtMs: number;
}

/** Usage of a bucket in the store as far as its last decision tells, by the clock of this process. */
export interface KnownUsage {
  /** Units that counted. */
  readonly used: number;
  /** The latest time at which they can have been charged: no decision tells when the charges before the last were made. */
  readonly chargedAtMs: number;
  /** From then on none of them counts. */
  readonly untilMs: number;
  readonly blockedUntilMs: number;
}

/**
 * Tells whether the usage in the store and the usage in this process add up. They do for a sliding window, where
 * each charge ends by itself. For all other algorithms this process keeps a copy of the whole bucket.
 */
export const isAdditive = ({ algorithm }: Policy): boolean => ALGORITHMS[algorithm].isAdditive;

export const toUsage = ({ decision, observedAtMs }: Observation): KnownUsage => ({
  used: decision.used,
  chargedAtMs: ALGORITHMS[decision.charge.policy.algorithm].chargedAtMs(
    observedAtMs,
    decision.resetAfterMs,
    decision.charge.policy.windowMs,
  ),
  untilMs: observedAtMs + decision.resetAfterMs,
  blockedUntilMs: observedAtMs + decision.blockedForMs,
});

/** Compares by the store's own clock; within one millisecond the later decision counts no less. */
function isNewer(decision: Decision, before: Decision): boolean {
  if (decision.atMs !== before.atMs) return decision.atMs > before.atMs;
  if (decision.used !== before.used) return decision.used > before.used;
  return decision.blockedForMs >= before.blockedForMs;
}

// Keys of buckets are escaped, so that the first line is the whole bucket key.
const cacheKey = ({ bucketKey }: Policy, identity: string): string => `${bucketKey}\n${identity}`;

/** Remembers the store's last decision on each bucket, for the buckets that were decided most recently. */
export class LastKnownUsage {
  readonly #observations;

  constructor(maxBuckets = MAX_BUCKETS) {
    this.#observations = lru<Observation>(maxBuckets);
  }

  /** Returns the usage of a bucket; undefined when nothing of it counts any more or it is not remembered. */
  of(policy: Policy, identity: string, nowMs: number): KnownUsage | undefined {
    const observation = this.#observations.get(cacheKey(policy, identity));
    if (observation === undefined) return undefined;
    const usage = toUsage(observation);
    return Math.max(usage.untilMs, usage.blockedUntilMs) > nowMs ? usage : undefined;
  }

  /**
   * Remembers a decision of the store and returns the one before it.
   *
   * @param askedAtMs When the store was called. What has arrived since then may have been decided later than this.
   */
  observe(decision: Decision, observedAtMs: number, askedAtMs: number): Observation | undefined {
    const key = cacheKey(decision.charge.policy, decision.charge.identity);
    const before = this.#observations.get(key);
    const mayBeOlder = before !== undefined && before.observedAtMs >= askedAtMs;
    if (mayBeOlder && !isNewer(decision, before.decision)) return before;
    if (decision.resetAfterMs > 0) this.#observations.set(key, { decision, observedAtMs });
    else if (before !== undefined) this.#observations.delete(key);
    return before;
  }

  /** Takes back a charge that was refunded, if the decision on it is the last one on its bucket. */
  observeRefund(decision: Decision): void {
    const key = cacheKey(decision.charge.policy, decision.charge.identity);
    const last = this.#observations.get(key);
    if (last === undefined || last.decision.atMs !== decision.atMs || last.decision.used !== decision.used)
      return;
    const { used, resetAfterMs } = withoutCharge(decision);
    this.#observations.set(key, { ...last, decision: { ...last.decision, used, resetAfterMs } });
  }

  /**
   * Forgets the buckets whose last decision fulfils a condition. Looks at all entries: few calls come from operators,
   * and an index by identity would cost every decision.
   */
  deleteWhere(concerns: (decision: Decision) => boolean): void {
    const keys: string[] = [];
    this.#observations.forEach(({ decision }, key) => {
      if (concerns(decision)) keys.push(key);
    });
    for (const key of keys) this.#observations.delete(key);
  }
}
