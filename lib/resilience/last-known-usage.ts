import type { Decision } from '../core/decision.js';
import type { Policy } from '../core/policy.js';
import { ByBucket } from './by-bucket.js';

/** Buckets of which the store's last word is remembered; at most twice as many. */
const MAX_BUCKETS = 50_000;

/** What the store has said of a bucket last, and when it was heard by the clock of this process. */
export interface Observation {
  readonly decision: Decision;
  readonly observedAtMs: number;
}

/** A bucket of the store, as its last word lets one think of it, by the clock of this process. */
export interface KnownUsage {
  /** Units that counted. */
  readonly used: number;
  /** When all of them were charged, as far as anybody knows: with the last, since no word tells of those before. */
  readonly chargedAtMs: number;
  /** When none of them counts any more. */
  readonly untilMs: number;
  readonly blockedUntilMs: number;
}

/**
 * Whether what the store has counted and what this process has are two parts of one sum. So it is with a
 * window that slides, where each charge ends by itself. Of other buckets this process keeps a copy of the whole.
 */
export const isAdditive = ({ algorithm }: Policy): boolean => algorithm === 'sliding-window';

export const toUsage = ({ decision, observedAtMs }: Observation): KnownUsage => ({
  used: decision.used,
  chargedAtMs:
    decision.charge.policy.algorithm === 'token-bucket'
      ? observedAtMs
      : observedAtMs + decision.resetAfterMs - decision.charge.policy.windowMs,
  untilMs: observedAtMs + decision.resetAfterMs,
  blockedUntilMs: observedAtMs + decision.blockedForMs,
});

/** Whether the store has decided later, by its own clock; in the same millisecond it counts no less. */
function isNewer(decision: Decision, before: Decision): boolean {
  if (decision.atMs !== before.atMs) return decision.atMs > before.atMs;
  if (decision.used !== before.used) return decision.used > before.used;
  return decision.blockedForMs >= before.blockedForMs;
}

/** The store's last word on each bucket that this process has seen. */
export class LastKnownUsage {
  readonly #observations = new ByBucket<Observation>(MAX_BUCKETS);

  /** The last word on a bucket; undefined when nothing of it counts any more, or it is not remembered. */
  of(policy: Policy, identity: string, nowMs: number): KnownUsage | undefined {
    const observation = this.#observations.get(policy, identity);
    if (observation === undefined) return undefined;
    const known = toUsage(observation);
    return Math.max(known.untilMs, known.blockedUntilMs) > nowMs ? known : undefined;
  }

  /**
   * Remembers what the store has just said, and gives what it had said before.
   *
   * @param askedAtMs When the store was asked. What was heard since may have been decided later than this.
   */
  observe(decision: Decision, observedAtMs: number, askedAtMs: number): Observation | undefined {
    const { policy, identity } = decision.charge;
    const before = this.#observations.get(policy, identity);
    const mayBeOlder = before !== undefined && before.observedAtMs >= askedAtMs;
    if (mayBeOlder && !isNewer(decision, before.decision)) return before;
    if (decision.resetAfterMs > 0) {
      this.#observations.set(policy, identity, { decision, observedAtMs });
    } else if (before !== undefined) this.#observations.delete(policy, identity);
    return before;
  }

  /** Remembers no longer what has been given back. */
  observeRefund(decision: Decision, without: Decision): void {
    const { policy, identity } = decision.charge;
    const known = this.#observations.get(policy, identity);
    const isLast = known?.decision.atMs === decision.atMs && known.decision.used === decision.used;
    if (known === undefined || !isLast) return;
    const { used, resetAfterMs } = without;
    this.#observations.set(policy, identity, {
      ...known,
      decision: { ...known.decision, used, resetAfterMs },
    });
  }

  reset(identity: string, scope: string | undefined): void {
    this.#observations.deleteOf(
      identity,
      ({ decision }) => scope === undefined || decision.charge.policy.scope === scope,
    );
  }

  unblock(identity: string): void {
    this.#observations.deleteOf(identity, ({ decision }) => decision.blockedForMs > 0);
  }
}
