import { type Charge, type Decision, isDenial } from '../core/decision.js';
import { withLimit } from '../core/policy.js';
import type { MemoryStore } from '../store/memory/memory-store.js';
import { isAdditive } from './last-known-usage.js';
import { LocalReceipt } from './receipts.js';

/**
 * Applies what this process admitted during an outage to a request that the store decides. If usage adds up, the
 * store is asked for the rest of the limit; if this process keeps a copy of the bucket, both have to admit the charge.
 */
export class LocalOverlay {
  /** The charges to send to the store, in the order of the request. */
  readonly charges: readonly Charge[];
  readonly #original = new Map<Charge, Charge>();
  /** Decisions of this process, by the charges that they are on. */
  readonly #own = new Map<Charge, Decision>();
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
    for (const decision of localDecisions) this.#own.set(decision.charge, decision);
    const mirrored = [...this.#own.keys()].filter(({ policy }) => !isAdditive(policy));
    // A charge that may be rolled back must not start a block.
    this.#reserved = memory[mode](mirrored.map((charge) => ({ ...charge, blockDurationsMs: [] }))).decisions;
    for (const [at, charge] of mirrored.entries()) this.#own.set(charge, this.#reserved[at] as Decision);
    this.charges = charges.map((charge) => this.#lowered(charge));
  }

  /** Turns the store's decisions into decisions on the original charges. */
  merge(decisions: readonly Decision[]): readonly Decision[] {
    if (decisions.some(isDenial)) this.rollback();
    return decisions.map((decision) => {
      const charge = this.#original.get(decision.charge) ?? decision.charge;
      const own = this.#own.get(charge);
      if (own === undefined) return decision;
      if (!isAdditive(charge.policy)) return isDenial(decision) ? decision : mergeDecisions(decision, own);
      if (!own.allowed) return own;
      const resetAfterMs = Math.max(decision.resetAfterMs, own.resetAfterMs);
      return { ...decision, charge, limit: charge.policy.capacity, resetAfterMs };
    });
  }

  /** Refunds what it has charged in this process. */
  rollback(): void {
    this.memory.refund(this.#reserved.filter(({ receipt }) => receipt !== null));
  }

  /** Lowers the limit of a charge to what this process has left of it. */
  #lowered(charge: Charge): Charge {
    const own = this.#own.get(charge);
    if (own === undefined || !isAdditive(charge.policy)) return charge;
    // A charge of 0 passes even when nothing is left, and a shadow limit without room denies nobody.
    const left = own.allowed ? Math.max(1, own.remaining) : 0;
    if (left === charge.policy.capacity) return charge;
    const lowered = { ...charge, policy: withLimit(charge.policy, left) };
    this.#original.set(lowered, charge);
    return lowered;
  }
}

/** Combines the decisions of the store and of this process on one admitted charge: the smaller remainder counts. */
function mergeDecisions(store: Decision, local: Decision): Decision {
  const inStore = store.receipt === null ? null : store;
  const receipt = local.receipt === null && inStore === null ? null : new LocalReceipt(local, inStore);
  // A shadow limit, which denies nobody.
  if (!store.allowed || !local.allowed) return { ...(store.allowed ? local : store), receipt };
  return {
    ...store,
    remaining: Math.min(store.remaining, local.remaining),
    resetAfterMs: Math.max(store.resetAfterMs, local.resetAfterMs),
    receipt,
  };
}
