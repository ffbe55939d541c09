import type { Clock } from '../core/clock.js';
import { type Duration, parseDuration } from '../core/duration.js';

interface Task {
  readonly run: () => void;
  readonly everyMs: number;
  dueMs: number;
}

/**
 * A clock that stands still until a test advances it.
 *
 * @example
 * const clock = new TestClock();
 * const store = new MemoryStore({ clock });
 * // ... five logins pass, the sixth is denied ...
 * clock.advance('15min');
 * // ... and the next one passes.
 */
export class TestClock implements Clock {
  #nowMs: number;
  readonly #tasks = new Set<Task>();

  /** @param startMs The first time, in epoch milliseconds; default the start of 2026, UTC. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  every(ms: number, task: () => void): () => void {
    const entry: Task = { run: task, everyMs: ms, dueMs: this.#nowMs + ms };
    this.#tasks.add(entry);
    return () => this.#tasks.delete(entry);
  }

  /**
   * Advances the clock, and runs every task that becomes due, in order.
   *
   * @param by A duration, or milliseconds; 0 or more.
   */
  advance(by: Duration | number): void {
    const endMs = this.#nowMs + (typeof by === 'number' ? by : parseDuration(by));
    if (!(endMs >= this.#nowMs))
      throw new RangeError('advance() only moves the clock forward; use set() to step back.');
    for (;;) {
      const due = [...this.#tasks].filter(({ dueMs }) => dueMs <= endMs);
      const task = due.sort((a, b) => a.dueMs - b.dueMs)[0];
      if (task === undefined) break;
      this.#nowMs = task.dueMs;
      task.dueMs += task.everyMs;
      task.run();
    }
    this.#nowMs = endMs;
  }

  /** Sets the clock, also backwards, as may happen to a wall clock. Runs no task. */
  set(toMs: number): void {
    this.#nowMs = toMs;
  }
}
