import type { Decision } from '../core/decision.js';
import type { Store } from '../store/store.js';

/** Receipt of a charge that was made in this process, and perhaps in the store too. */
export class LocalReceipt {
  constructor(
    /** The decision of this process; null once the store counts the charge instead, or it has been refunded. */
    public local: Decision | null,
    /** The decision of the store, if it made the charge as well, in time or late. */
    public store: Decision | null,
  ) {}
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
