import type { Awaitable } from '../core/awaitable.js';
import { type Clock, runAfter } from '../core/clock.js';

/** A call, and when it was made. */
export interface Started {
  readonly startedMs: number;
}

/** Settles calls. What a handler throws rejects its call. */
export interface TimeoutHandlers<Call, Reply, Result> {
  onReply(call: Call, reply: Reply): Awaitable<Result>;
  onError(call: Call, error: unknown): Awaitable<Result>;
  /** There was no reply in time. */
  onTimeout(call: Call): Awaitable<Result>;
  /** Receives a reply after the timeout; errors that it throws are dropped. */
  onLateReply(call: Call, reply: Reply): void;
}

interface Entry<Call, Result> {
  readonly call: Call;
  readonly resolve: (result: Awaitable<Result>) => void;
  readonly reject: (error: unknown) => void;
  isSettled: boolean;
}

/** Maximum delay of a timeout, as a share of the budget. */
const TOLERANCE = 0.1;
/** Settled entries that may remain at the head of the queue: removing each one by itself would take long. */
const MAX_SETTLED = 1_000;

/** Times out many calls with one timer. All share one timeout, so they expire in FIFO order. */
export class TimeoutQueue<Call extends Started, Reply, Result> {
  #queue: Entry<Call, Result>[] = [];
  /** All entries before this index have settled. */
  #head = 0;
  #pending = 0;
  #stopTimer: (() => void) | null = null;
  #onIdle: (() => void)[] = [];

  constructor(
    readonly budgetMs: number,
    readonly clock: Clock,
    readonly handlers: TimeoutHandlers<Call, Reply, Result>,
  ) {}

  /** Waits for the reply to a call that was made just now, for no longer than the budget. */
  wait(call: Call, reply: Promise<Reply>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const entry = { call, resolve, reject, isSettled: false };
      this.#queue.push(entry);
      this.#pending++;
      this.#stopTimer ??= this.clock.every(Math.max(1, Math.floor(TOLERANCE * this.budgetMs)), () =>
        this.#expire(),
      );
      reply.then(
        (value) => {
          if (entry.isSettled) this.#onLateReply(call, value);
          else this.#settle(entry, () => this.handlers.onReply(call, value));
        },
        (error: unknown) => {
          if (!entry.isSettled) this.#settle(entry, () => this.handlers.onError(call, error));
        },
      );
    });
  }

  /** Resolves when no call is waiting. */
  async idle(): Promise<void> {
    while (this.#pending > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    this.#endTimer();
  }

  #onLateReply(call: Call, reply: Reply): void {
    try {
      this.handlers.onLateReply(call, reply);
    } catch {
      // The caller has its result already.
    }
  }

  #settle(entry: Entry<Call, Result>, result: () => Awaitable<Result>): void {
    entry.isSettled = true;
    this.#pending--;
    try {
      entry.resolve(result());
    } catch (error) {
      entry.reject(error);
    }
    this.#removeSettled();
    if (this.#pending > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Releases settled entries before their timeout. */
  #removeSettled(): void {
    while (this.#queue[this.#head]?.isSettled) this.#head++;
    if (this.#head < MAX_SETTLED && this.#pending > 0) return;
    this.#queue.splice(0, this.#head);
    this.#head = 0;
  }

  #expire(): void {
    if (this.#pending === 0) {
      this.#endTimer();
      return;
    }
    const startedBy = this.clock.now() - this.budgetMs;
    const late: Entry<Call, Result>[] = [];
    for (let index = this.#head; index < this.#queue.length; index++) {
      const entry = this.#queue[index] as Entry<Call, Result>;
      if (entry.call.startedMs > startedBy) break;
      if (!entry.isSettled) late.push(entry);
    }
    if (late.length === 0) return;
    // If this process was busy, replies may lie unread in the socket: read them first.
    setImmediate(() => {
      for (const entry of late) {
        if (!entry.isSettled) this.#settle(entry, () => this.handlers.onTimeout(entry.call));
      }
    });
  }

  #endTimer(): void {
    this.#stopTimer?.();
    this.#stopTimer = null;
  }
}

/** The store did not respond in time. */
export class StoreTimeoutError extends Error {
  override readonly name = 'StoreTimeoutError';

  constructor(ms: number) {
    super(`The store did not respond within ${ms} ms.`);
  }
}

/** Returns the result of `call`, or throws {@link StoreTimeoutError} after `ms` milliseconds. */
export async function withTimeout<T>(ms: number, clock: Clock, call: () => Awaitable<T>): Promise<T> {
  let stop = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    stop = runAfter(clock, ms, () => reject(new StoreTimeoutError(ms)));
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    stop();
  }
}
