import type { Clock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import { type Policy, partOfPolicy } from '../../core/policy.js';
import { MemoryStore } from '../memory/memory-store.js';
import type { StoreTarget } from '../store.js';
import { ByBucket } from './by-bucket.js';
import { withLocalReceipts } from './receipts.js';

/** Decisions that are remembered to start from; at least so many buckets, at most twice as many. */
const MOST_REMEMBERED = 50_000;
const NEVER = Number.NEGATIVE_INFINITY;

/** What the store has said of a bucket, and when it was heard. */
interface Answer {
  readonly decision: Decision;
  /** By the clock of this process. */
  readonly heardAtMs: number;
}

/**
 * Limits as this process enforces them by itself, while the store cannot: each bucket starts from what the
 * store said of it last. What was admitted then is remembered until it has expired.
 */
export class LocalLimits {
  readonly #memory: MemoryStore;
  /** The store's last word on each bucket. */
  readonly #answers = new ByBucket<Answer>(MOST_REMEMBERED);
  /** Until when charges to a bucket count that the store knows nothing of. */
  readonly #ownUntilMs = new ByBucket<number>(MOST_REMEMBERED);
  #anyOwnUntilMs = NEVER;
  /** The parts of policies that this process enforces, for charges that cost no more than they hold. */
  readonly #parts = new WeakMap<Policy, Policy>();

  /** @param instances Among how many processes limits are divided. */
  constructor(
    readonly clock: Clock,
    readonly instances: number,
  ) {
    this.#memory = new MemoryStore({ clock });
  }

  /** Remembers what the store has just said; of several words on a bucket the last by the store's own clock. */
  note(decisions: readonly Decision[]): void {
    const heardAtMs = this.clock.now();
    for (const decision of decisions) {
      const { policy, identity } = decision.charge;
      const known = this.#answers.get(policy, identity);
      if (known !== undefined && known.decision.atMs > decision.atMs) continue;
      if (decision.resetAfterMs > 0) this.#answers.set(policy, identity, { decision, heardAtMs });
      else this.#answers.delete(policy, identity);
    }
  }

  /** Remembers no longer what has been given back. */
  noteRefunded(decision: Decision, without: Decision): void {
    const { policy, identity } = decision.charge;
    const known = this.#answers.get(policy, identity);
    if (known?.decision === decision) this.#answers.set(policy, identity, { ...known, decision: without });
  }

  /** Decides in place of the store, in which `charges` count for nothing. */
  consume(charges: readonly Charge[]): readonly Decision[] {
    const decisions = this.#memory.consume(this.#started(charges)).decisions;
    for (const { receipt, atMs, resetAfterMs, charge } of decisions) {
      if (receipt !== null) this.#own(charge, atMs + resetAfterMs);
    }
    this.#ownBlocks(decisions);
    return withLocalReceipts(decisions, charges);
  }

  /** What {@link consume} would answer. */
  peek(charges: readonly Charge[]): readonly Decision[] {
    return withLocalReceipts(this.#memory.peek(this.#started(charges)).decisions, charges);
  }

  /** The charges to buckets of which the store does not know all; null when there are none. */
  ownOf(charges: readonly Charge[]): readonly Charge[] | null {
    if (this.#anyOwnUntilMs === NEVER) return null;
    const nowMs = this.clock.now();
    if (this.#anyOwnUntilMs <= nowMs) {
      this.#anyOwnUntilMs = NEVER;
      this.#ownUntilMs.clear();
      return null;
    }
    const own = charges.filter(
      ({ policy, identity }) => (this.#ownUntilMs.get(policy, identity) ?? 0) > nowMs,
    );
    return own.length === 0 ? null : own;
  }

  /** Decides, or looks, beside the store, which counts all processes, and so undivided. */
  beside(how: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    const decisions = this.#memory[how](charges).decisions;
    if (how === 'consume') this.#ownBlocks(decisions);
    return decisions;
  }

  refund(decisions: readonly Decision[]): void {
    this.#memory.refund(decisions);
  }

  reset(target: StoreTarget): void {
    const { identity, scope } = target;
    this.#memory.reset(target);
    this.#answers.deleteOf(
      identity,
      ({ decision }) => scope === undefined || decision.charge.policy.scope === scope,
    );
  }

  block(identity: string, forMs: number): void {
    try {
      this.#memory.block(identity, forMs);
    } catch {
      // No room for it here, but perhaps in the store.
    }
  }

  unblock(identity: string): void {
    this.#memory.unblock(identity);
    this.#answers.deleteOf(identity, ({ decision }) => decision.blockedForMs > 0);
  }

  close(): void {
    this.#memory.close();
  }

  /** The charges as this process decides them, their buckets started from the store's last word. */
  #started(charges: readonly Charge[]): readonly Charge[] {
    return charges.map((charge) => {
      const policy = this.#partOf(charge);
      this.#seed(charge, policy);
      return policy === charge.policy ? charge : { ...charge, policy };
    });
  }

  #partOf({ policy, cost }: Charge): Policy {
    if (this.instances === 1) return policy;
    let part = this.#parts.get(policy);
    if (part === undefined) {
      part = partOfPolicy(policy, this.instances, 0);
      this.#parts.set(policy, part);
    }
    return cost <= part.capacity ? part : partOfPolicy(policy, this.instances, cost);
  }

  /** Takes over what the store said last, once: from then on this process knows better. */
  #seed({ policy, identity }: Charge, part: Policy): void {
    const answer = this.#answers.get(policy, identity);
    if (answer === undefined) return;
    this.#answers.delete(policy, identity);
    const { limit, remaining, resetAfterMs, blockedForMs } = answer.decision;
    // All at the time of the last charge, since no answer tells of those before.
    const endMs = answer.heardAtMs + resetAfterMs;
    const chargedAtMs = policy.algorithm === 'token-bucket' ? answer.heardAtMs : endMs - policy.windowMs;
    // The limit may have changed since.
    const left = Math.max(0, remaining + policy.capacity - limit);
    const used = Math.max(0, part.capacity - Math.floor(left / this.instances));
    this.#memory.seed(part, identity, used, chargedAtMs, answer.heardAtMs + blockedForMs);
  }

  /** Remembers blocks that have just begun. */
  #ownBlocks(decisions: readonly Decision[]): void {
    for (const { charge, atMs, blockedForMs, startsBlock } of decisions) {
      if (startsBlock) this.#own(charge, atMs + blockedForMs);
    }
  }

  #own({ policy, identity }: Charge, untilMs: number): void {
    const knownMs = this.#ownUntilMs.get(policy, identity) ?? NEVER;
    this.#ownUntilMs.set(policy, identity, Math.max(knownMs, untilMs));
    this.#anyOwnUntilMs = Math.max(this.#anyOwnUntilMs, untilMs);
  }
}
