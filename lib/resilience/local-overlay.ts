import { type Charge, type Decision, isDenial } from '../core/decision.js';
import { withLimit } from '../core/policy.js';
import type { MemoryStore } from '../store/memory/memory-store.js';
import { isAdditive } from './last-known-usage.js';
import { mergeDecisions } from './receipts.js';

/**
 * What this process has admitted while the store was away, and what that leaves of a request that the store is
 * asked about: of a sum the rest, of a copy both have to admit it.
 */
export class LocalOverlay {
  /** What to ask the store, in the order of the request. */
  readonly charges: readonly Charge[];
  readonly #original = new Map<Charge, Charge>();
  /** What stands here of buckets that are part of a sum. */
  readonly #additive = new Map<Charge, Decision>();
  /** Charged here, until it is known that the store admits them. */
  readonly #reserved: readonly Decision[];

  /**
   * @param localDecisions Decisions on those of the charges of whose buckets this process has admitted something: none denies.
   * @param memory What it has admitted.
   */
  constructor(
    mode: 'consume' | 'peek',
    charges: readonly Charge[],
    localDecisions: readonly Decision[],
    readonly memory: MemoryStore,
  ) {
    const mirrored: Charge[] = [];
    for (const decision of localDecisions) {
      const { charge } = decision;
      if (isAdditive(charge.policy)) this.#additive.set(charge, decision);
      // Without a block, which a charge in passing must not start.
      else mirrored.push({ ...charge, blockDurationsMs: [] });
    }
    this.charges = charges.map((charge) => this.#lowered(charge));
    this.#reserved = memory[mode](mirrored).decisions;
  }

  /** What the store has decided, in the terms of the request. */
  merge(decisions: readonly Decision[]): readonly Decision[] {
    if (decisions.some(isDenial)) this.rollback();
    return decisions.map((decision) => {
      const charge = this.#original.get(decision.charge) ?? decision.charge;
      const sum = this.#additive.get(charge);
      if (sum !== undefined && !sum.allowed) return sum;
      if (sum !== undefined) {
        const resetAfterMs = Math.max(decision.resetAfterMs, sum.resetAfterMs);
        return { ...decision, charge, limit: charge.policy.capacity, resetAfterMs };
      }
      const mirror = this.#reserved.find((reserved) => isSameBucket(reserved.charge, charge));
      return mirror === undefined || isDenial(decision) ? decision : mergeDecisions(decision, mirror);
    });
  }

  /** Takes back what it has charged here. */
  rollback(): void {
    this.memory.refund(this.#reserved.filter(({ receipt }) => receipt !== null));
  }

  /** A charge under what is left of its limit. */
  #lowered(charge: Charge): Charge {
    const sum = this.#additive.get(charge);
    if (sum === undefined) return charge;
    // What costs nothing passes also where nothing is left; a shadow limit without room denies nobody.
    const left = sum.allowed ? Math.max(1, sum.remaining) : 0;
    if (left === charge.policy.capacity) return charge;
    const lowered = { ...charge, policy: withLimit(charge.policy, left) };
    this.#original.set(lowered, charge);
    return lowered;
  }
}

const isSameBucket = (a: Charge, b: Charge): boolean =>
  a.policy.bucketKey === b.policy.bucketKey && a.identity === b.identity;
