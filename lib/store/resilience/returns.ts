import type { Decision } from '../../core/decision.js';
import { attempt } from '../../core/later.js';
import type { Store } from '../store.js';

/**
 * Gives back charges that the store has made too late: of requests that were turned away before it had answered, or
 * whose charge had been given back by then. All of one turn together.
 */
export class Returns {
  readonly #due: Decision[] = [];

  constructor(readonly store: Store) {}

  /** What cannot be given back ends with its bucket. */
  add(charged: readonly Decision[]): void {
    if (charged.length === 0) return;
    if (this.#due.length === 0) queueMicrotask(() => this.#give(this.#due.splice(0)));
    this.#due.push(...charged);
  }

  #give(all: readonly Decision[]): void {
    void attempt(
      () => this.store.refund(all),
      () => undefined,
    );
  }
}
