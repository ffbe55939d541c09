import type { Awaitable } from '../core/awaitable.js';
import { type Clock, runAfter } from '../core/clock.js';

/** Settles calls. An error that a handler throws rejects its call. */
export interface TimeoutHandlers<Call, Reply, Result> {
  onReply(call: Call, reply: Reply): Result;
  /** Receives the error of a call that failed; a {@link StoreTimeoutError} if there was no reply in time. */
  onError(call: Call, error: unknown): Result;
  /** Receives a reply after the timeout; errors that it throws are dropped. */
  onLateReply(call: Call, reply: Reply): void;
}

interface WaitingCall<Call, Result> {
  readonly call: Call;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  isSettled: boolean;
}

/** Maximum delay of a timeout, as a share of the budget. */
const TOLERANCE = 0.1;

/** Times out many calls with one timer. All share one timeout, so they expire in FIFO order. */
export class TimeoutQueue<Call extends { readonly startedMs: number }, Reply, Result> {
  /** Oldest first; some may have settled. */
  #queue: WaitingCall<Call, Result>[] = [];
  #pending = 0;
  readonly #onIdle: (() => void)[] = [];
  #stopTimer: (() => void) | null = null;

  constructor(
    readonly budgetMs: number,
    readonly clock: Clock,
    readonly handlers: TimeoutHandlers<Call, Reply, Result>,
  ) {}

  /** Waits for the reply to a call that was made just now, for no longer than the budget. */
  wait(call: Call, reply: Promise<Reply>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const waiting = { call, resolve, reject, isSettled: false };
      this.#queue.push(waiting);
      this.#pending++;
      const intervalMs = Math.max(1, Math.floor(TOLERANCE * this.budgetMs));
      this.#stopTimer ??= this.clock.every(intervalMs, () => this.#onTick());
      reply.then(
        (value) => {
          if (waiting.isSettled) this.#onLateReply(call, value);
          else this.#settle(waiting, () => this.handlers.onReply(call, value));
        },
        (error: unknown) => {
          if (!waiting.isSettled) this.#settle(waiting, () => this.handlers.onError(call, error));
        },
      );
    });
  }

  /** Resolves when no call is waiting. */
  async idle(): Promise<void> {
    while (this.#pending > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    this.#endTimer();
  }

  #settle(waiting: WaitingCall<Call, Result>, result: () => Result): void {
    waiting.isSettled = true;
    this.#pending--;
    try {
      waiting.resolve(result());
    } catch (error) {
      waiting.reject(error);
    }
    if (this.#pending > 0) return;
    // Not left to the timer: what outlives a garbage collection costs each call a microsecond.
    this.#queue = [];
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #onLateReply(call: Call, reply: Reply): void {
    try {
      this.handlers.onLateReply(call, reply);
    } catch {
      // The caller has its result already.
    }
  }

  #onTick(): void {
    if (this.#pending === 0) {
      this.#endTimer();
      return;
    }
    this.#queue = this.#queue.filter(({ isSettled }) => !isSettled);
    const startedBy = this.clock.now() - this.budgetMs;
    // If this process was busy, replies may lie unread in the socket: read them first.
    setImmediate(() => this.#expire(startedBy));
  }

  #expire(startedBy: number): void {
    for (const waiting of this.#queue) {
      const { call, isSettled } = waiting;
      if (call.startedMs > startedBy) return;
      if (isSettled) continue;
      this.#settle(waiting, () => this.handlers.onError(call, new StoreTimeoutError(this.budgetMs)));
    }
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
