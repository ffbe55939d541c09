import { attempt } from '../core/awaitable.js';
import type { Decision } from '../core/decision.js';
import type { Store } from '../store/store.js';

/** What gives back a charge that was made in this process, and perhaps in the store too. */
export class LocalReceipt {
  constructor(
    /** The decision of this process; null once the store counts it in its place, or it has been given back. */
    public local: Decision | null,
    /** The decision of the store, when that has charged it as well, at once or late. */
    public store: Decision | null,
  ) {}

  /** Whether it was given back before the store had said that it has charged it as well. */
  get isRefunded(): boolean {
    return this.local === null && this.store === null;
  }
}

/** Two decisions on one charge that was admitted, by the store and beside it: what is left under both. */
export function mergeDecisions(store: Decision, local: Decision): Decision {
  const receipt = local.receipt === null && store.receipt === null ? null : new LocalReceipt(local, store);
  // Of a shadow limit, which denies nobody.
  if (!store.allowed || !local.allowed) return { ...(store.allowed ? local : store), receipt };
  return {
    ...store,
    remaining: Math.min(store.remaining, local.remaining),
    resetAfterMs: Math.max(store.resetAfterMs, local.resetAfterMs),
    receipt,
  };
}

/** Decisions that are to be given back, by where their charges are. */
export interface Receipts {
  /** Those of this process. */
  readonly local: readonly Decision[];
  /** Those of the store. */
  readonly store: readonly Decision[];
}

/**
 * Sorts decisions that are given back by where their charges are: some are in both places. Those of this process
 * are given out once, since a second time would give back somebody else's.
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
 * Gives back charges that the store has made too late: of requests that were turned away before it had answered, or
 * whose charge had been given back by then. All of one turn together.
 */
export class LateRefunds {
  readonly #due: Decision[] = [];

  constructor(readonly store: Store) {}

  /** What cannot be given back ends with its bucket. */
  add(charged: readonly Decision[]): void {
    if (charged.length === 0) return;
    if (this.#due.length === 0) queueMicrotask(() => this.#refund(this.#due.splice(0)));
    this.#due.push(...charged);
  }

  #refund(all: readonly Decision[]): void {
    void attempt(
      () => this.store.refund(all),
      () => undefined,
    );
  }
}
