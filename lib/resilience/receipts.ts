import type { Decision } from '../core/decision.js';
import type { Store } from '../store/store.js';

/** Receipt of a charge that was made in this process, and perhaps in the store too. */
export class LocalReceipt {
  constructor(
    /** The decision of this process; null once the store counts the charge instead, or it has been refunded. */
    public local: Decision | null,
    /** The decision of the store, if that made the charge as well, in time or late. */
    public store: Decision | null,
  ) {}

  /** True if it was refunded before the store said that it had made the charge as well. */
  get isRefunded(): boolean {
    return this.local === null && this.store === null;
  }
}

/** Combines the decisions of the store and of this process on one admitted charge: the smaller remainder counts. */
export function mergeDecisions(store: Decision, local: Decision): Decision {
  const receipt = local.receipt === null && store.receipt === null ? null : new LocalReceipt(local, store);
  // A shadow limit, which denies nobody.
  if (!store.allowed || !local.allowed) return { ...(store.allowed ? local : store), receipt };
  return {
    ...store,
    remaining: Math.min(store.remaining, local.remaining),
    resetAfterMs: Math.max(store.resetAfterMs, local.resetAfterMs),
    receipt,
  };
}

/** Decisions to refund, by where their charges were made. */
export interface Receipts {
  /** Charges of this process. */
  readonly local: readonly Decision[];
  /** Charges of the store. */
  readonly store: readonly Decision[];
}

/**
 * Splits decisions to refund by where their charges were made; some are in both places. Each local one is returned
 * only once, since a second refund would give back somebody else's charge.
 */
export function splitReceipts(decisions: readonly Decision[]): Receipts {
  const local: Decision[] = [];
  const store: Decision[] = [];
  for (const decision of decisions) {
    const { receipt } = decision;
    if (!(receipt instanceof LocalReceipt)) store.push(decision);
    else {
      if (receipt.local !== null && receipt.local.receipt !== null) local.push(receipt.local);
      receipt.local = null;
      if (receipt.store !== null && receipt.store.receipt !== null) store.push(receipt.store);
    }
  }
  return { local, store };
}

/**
 * Refunds charges that the store made too late: the request had been rejected, or its charge refunded, before the
 * store replied. All refunds of one turn of the event loop go out together.
 */
export class LateRefunds {
  readonly #due: Decision[] = [];

  constructor(readonly store: Store) {}

  add(charged: readonly Decision[]): void {
    if (charged.length === 0) return;
    if (this.#due.length === 0) queueMicrotask(() => this.#refund(this.#due.splice(0)));
    this.#due.push(...charged);
  }

  async #refund(decisions: readonly Decision[]): Promise<void> {
    try {
      await this.store.refund(decisions);
    } catch {
      // A charge that cannot be refunded ends with its bucket.
    }
  }
}
