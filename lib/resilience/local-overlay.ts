import { type Charge, type Decision, isDenial } from '../core/decision.js';
import { withLimit } from '../core/policy.js';
import type { MemoryStore } from '../store/memory/memory-store.js';
import { isAdditive } from './last-known-usage.js';
import { mergeDecisions } from './receipts.js';

/**
 * Applies what this process admitted during an outage to a request that the store decides. If usage adds up, the
 * store is asked for the rest of the limit; if this process keeps a copy of the bucket, both have to admit the charge.
 */
export class LocalOverlay {
  /** The charges to send to the store, in the order of the request. */
  readonly charges: readonly Charge[];
  readonly #original = new Map<Charge, Charge>();
  /** Local decisions on buckets whose usage adds up. */
  readonly #additive = new Map<Charge, Decision>();
  /** Charged in this process until the store has admitted them. */
  readonly #reserved: readonly Decision[];

  /**
   * @param localDecisions Decisions on the charges whose buckets this process holds; none of them denies.
   * @param memory The buckets of this process.
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
      // A charge that may be rolled back must not start a block.
      else mirrored.push({ ...charge, blockDurationsMs: [] });
    }
    this.charges = charges.map((charge) => this.#lowered(charge));
    this.#reserved = memory[mode](mirrored).decisions;
  }

  /** Turns the store's decisions into decisions on the original charges. */
  merge(decisions: readonly Decision[]): readonly Decision[] {
    if (decisions.some(isDenial)) this.rollback();
    return decisions.map((decision) => {
      const charge = this.#original.get(decision.charge) ?? decision.charge;
      const own = this.#additive.get(charge);
      if (own !== undefined && !own.allowed) return own;
      if (own !== undefined) {
        const resetAfterMs = Math.max(decision.resetAfterMs, own.resetAfterMs);
        return { ...decision, charge, limit: charge.policy.capacity, resetAfterMs };
      }
      const mirror = this.#reserved.find((reserved) => isSameBucket(reserved.charge, charge));
      return mirror === undefined || isDenial(decision) ? decision : mergeDecisions(decision, mirror);
    });
  }

  /** Refunds what it has charged in this process. */
  rollback(): void {
    this.memory.refund(this.#reserved.filter(({ receipt }) => receipt !== null));
  }

  /** Lowers the limit of a charge to what this process has left of it. */
  #lowered(charge: Charge): Charge {
    const own = this.#additive.get(charge);
    if (own === undefined) return charge;
    // A charge of 0 passes even when nothing is left, and a shadow limit without room denies nobody.
    const left = own.allowed ? Math.max(1, own.remaining) : 0;
    if (left === charge.policy.capacity) return charge;
    const lowered = { ...charge, policy: withLimit(charge.policy, left) };
    this.#original.set(lowered, charge);
    return lowered;
  }
}

const isSameBucket = (a: Charge, b: Charge): boolean =>
  a.policy.bucketKey === b.policy.bucketKey && a.identity === b.identity;
