import type { Clock } from '../../core/clock.js';
import { type Charge, type Decision, denies } from '../../core/decision.js';
import { type Policy, partOfPolicy, withLimit } from '../../core/policy.js';
import { MemoryStore } from '../memory/memory-store.js';
import type { StoreTarget } from '../store.js';
import { Answers, isSum, type Known, knownOf } from './answers.js';
import { Beside } from './beside.js';
import { LocalReceipt } from './receipts.js';

/** A charge as this process decides it, and what it has been told of its bucket. */
interface Local {
  readonly charge: Charge;
  /** What the process admits by itself. */
  readonly part: Policy;
  readonly known: Known | undefined;
  /** Whether its bucket is a copy that was made for it. */
  readonly isNew: boolean;
}

/**
 * Limits as this process enforces them by itself while the store cannot, from where the store left off; and what
 * is left of that beside the store, until what was admitted here has ended.
 */
export class LocalLimits {
  /** What this process has admitted, and blocked, without the store. */
  readonly #memory: MemoryStore;
  readonly #answers = new Answers();
  readonly #parts = new WeakMap<Policy, Policy>();
  /** When the store was last away. */
  #awayAtMs = Number.NEGATIVE_INFINITY;

  /** @param instances Among how many processes limits are divided. */
  constructor(
    readonly clock: Clock,
    readonly instances: number,
  ) {
    this.#memory = new MemoryStore({ clock });
  }

  /** How many buckets it holds. */
  get size(): number {
    return this.#memory.size;
  }

  /** Remembers what the store has just said, in time or late, on what it was asked at `askedAtMs`. */
  note(decisions: readonly Decision[], nowMs: number, askedAtMs: number): void {
    for (const decision of decisions) {
      if (decision.charge.policy.failMode !== 'local') continue;
      const before = this.#answers.note(decision, nowMs, askedAtMs);
      if (before !== undefined && before.heardAtMs < this.#awayAtMs)
        this.#keepLost(knownOf(before), decision, nowMs);
    }
  }

  /** Remembers that the store is away, and may come back without what it had counted. */
  noteAway(): void {
    this.#awayAtMs = this.clock.now();
  }

  noteRefunded(decision: Decision, without: Decision): void {
    this.#answers.noteRefunded(decision, without);
  }

  /** Decides in place of the store, in which `charges` count for nothing. */
  consume(charges: readonly Charge[]): readonly Decision[] {
    return this.#decide('consume', charges);
  }

  /** What {@link consume} would answer. */
  peek(charges: readonly Charge[]): readonly Decision[] {
    return this.#decide('peek', charges);
  }

  /**
   * What stands beside the store: null when nothing does, denials when that leaves no room for a request, so that
   * there is no need to ask the store.
   */
  beside(how: 'consume' | 'peek', charges: readonly Charge[]): Beside | readonly Decision[] | null {
    if (this.#memory.size === 0) return null;
    const own = charges.filter(({ policy, identity }) => this.#memory.has(policy, identity));
    if (own.length === 0) return null;
    const standing = this.#memory.peek(own).decisions;
    if (!standing.some(denies)) return new Beside(how, charges, standing, this.#memory);
    // By a denial nothing is charged, but a block begins.
    return how === 'consume' ? this.#memory.consume(own).decisions : standing;
  }

  refund(decisions: readonly Decision[]): void {
    this.#memory.refund(decisions);
  }

  /** The store has counted, late, what this process has admitted: of a sum it is not to count twice. */
  handOver(receipt: LocalReceipt, store: Decision): void {
    receipt.store = store;
    const { local } = receipt;
    if (local === null || !isSum(local.charge.policy)) return;
    this.#memory.refund([local]);
    receipt.local = null;
  }

  reset(target: StoreTarget): void {
    this.#memory.reset(target);
    this.#answers.reset(target.identity, target.scope);
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
    this.#answers.unblock(identity);
  }

  close(): void {
    this.#memory.close();
  }

  #decide(how: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    const nowMs = this.clock.now();
    const local = charges.map((charge) => this.#localOf(charge, nowMs));
    const { decisions } = this.#memory[how](local.map(({ charge }) => charge));
    return decisions.map((decision, at) =>
      this.#told(how, decision, charges[at] as Charge, local[at] as Local, nowMs),
    );
  }

  #localOf(charge: Charge, nowMs: number): Local {
    const { policy, identity } = charge;
    const part = this.#partOf(charge);
    const known = this.#answers.of(policy, identity, nowMs);
    if (known === undefined) return localOf(charge, part, known);
    if (known.blockedUntilMs > nowMs) return localOf(charge, part, known, 0);
    const left = Math.max(0, Math.floor((policy.capacity - known.used) / this.instances));
    if (isSum(policy)) return localOf(charge, part, known, Math.min(part.capacity, left));
    const isNew = !this.#memory.has(policy, identity);
    const used = Math.max(0, part.capacity - left);
    this.#memory.seed(part, identity, used, known.chargedAtMs, 0);
    return { ...localOf(charge, part, known), isNew };
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

  /** A decision of this process in the terms of what was asked. */
  #told(how: 'consume' | 'peek', decision: Decision, charge: Charge, local: Local, nowMs: number): Decision {
    const { part, known, isNew } = local;
    // Kept beside the store when something was charged to it here, and not for a look.
    if (isNew && decision.receipt === null && !decision.startsBlock)
      this.#memory.drop(charge.policy, charge.identity);
    const receipt = decision.receipt === null ? null : new LocalReceipt(decision, null);
    const told = { ...decision, charge, receipt };
    if (known === undefined || part.limit === 0) return told;
    const blockedMs = Math.max(0, known.blockedUntilMs - nowMs);
    if (!isSum(charge.policy) && blockedMs === 0) return told;
    const storeMs = Math.max(blockedMs, known.untilMs - nowMs);
    const resetAfterMs = Math.max(decision.resetAfterMs, storeMs);
    if (decision.allowed) return { ...told, limit: part.capacity, resetAfterMs };
    // Without what the store has counted, this process has room again when its own charges have ended.
    const { retryAfterMs: ownMs } = this.#memory.peek([{ ...charge, policy: part }]).decisions[0] as Decision;
    const laterMs = ownMs === null ? null : Math.max(ownMs, storeMs);
    const waitMs =
      decision.retryAfterMs === null || laterMs === null ? laterMs : Math.min(decision.retryAfterMs, laterMs);
    const denied = { ...told, limit: part.capacity, resetAfterMs, retryAfterMs: waitMs };
    if (decision.blockedForMs > 0 || blockedMs > 0) {
      const blockedForMs = Math.max(decision.blockedForMs, blockedMs);
      return {
        ...denied,
        blockedForMs,
        retryAfterMs: waitMs === null ? null : Math.max(waitMs, blockedForMs),
      };
    }
    return how === 'consume' ? this.#blocked(denied, part, nowMs) : denied;
  }

  /** Starts the block of a denial that is due to what the store has counted. */
  #blocked(denied: Decision, part: Policy, nowMs: number): Decision {
    const { blocks, shadow, identity } = denied.charge;
    const [blockMs] = blocks;
    if (blockMs === undefined || shadow || denied.retryAfterMs === null) return denied;
    this.#memory.seed(part, identity, 0, nowMs, nowMs + blockMs);
    return {
      ...denied,
      remaining: 0,
      resetAfterMs: Math.max(denied.resetAfterMs, blockMs),
      retryAfterMs: Math.max(denied.retryAfterMs, blockMs),
      blockedForMs: blockMs,
      startsBlock: true,
    };
  }

  /** Keeps what the store had counted before it was away, where its answer shows that it has forgotten that. */
  #keepLost(before: Known, { charge, used, allowed }: Decision, nowMs: number): void {
    const hasForgotten = allowed && used <= charge.cost && before.used > 0 && before.untilMs > nowMs;
    if (!hasForgotten) return;
    const { policy, identity } = charge;
    this.#memory.seed(policy, identity, before.used, before.chargedAtMs, 0);
  }
}

/** A charge as this process decides it, under `limit` where that is lower than its part. */
const localOf = (charge: Charge, part: Policy, known: Known | undefined, limit = part.limit): Local => ({
  charge: { ...charge, policy: limit === part.limit ? part : withLimit(part, limit) },
  part,
  known,
  isNew: false,
});
