import { type Awaitable, attempt } from '../core/awaitable.js';
import { type Clock, runAfter } from '../core/clock.js';

/** What was asked, and when. */
export interface Started {
  readonly startedMs: number;
}

/** What becomes of a question. Those that throw reject it. */
export interface TimeoutHandlers<Question, Reply, Answer> {
  onReply(question: Question, reply: Reply): Awaitable<Answer>;
  onError(question: Question, error: unknown): Awaitable<Answer>;
  /** There was no reply in time. */
  onTimeout(question: Question): Awaitable<Answer>;
  /** A reply to a question that was late; nobody hears of what it throws. */
  onLateReply(question: Question, reply: Reply): void;
}

interface Entry<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Awaitable<Answer>) => void;
  readonly reject: (error: unknown) => void;
  isDone: boolean;
}

/** How late an expiry may be, as a share of the budget. */
const TOLERANCE = 0.1;
/** How many that have settled may stand first in the queue: to move it for each would take long. */
const MAX_SETTLED = 1_000;

/** One time budget for many questions: as it is the same for all, they end in the order in which they began. */
export class TimeoutQueue<Question extends Started, Reply, Answer> {
  #queue: Entry<Question, Answer>[] = [];
  /** Those before it in the queue have settled. */
  #first = 0;
  #pending = 0;
  #stop: (() => void) | null = null;
  #idle: (() => void)[] = [];

  constructor(
    readonly budgetMs: number,
    readonly clock: Clock,
    readonly handlers: TimeoutHandlers<Question, Reply, Answer>,
  ) {}

  /** Waits for the reply to a question that was asked just now, and no longer than its budget. */
  wait(question: Question, reply: Promise<Reply>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const entry = { question, resolve, reject, isDone: false };
      this.#queue.push(entry);
      this.#pending++;
      this.#stop ??= this.clock.every(Math.max(1, Math.floor(TOLERANCE * this.budgetMs)), () =>
        this.#expire(),
      );
      reply.then(
        (value) => {
          if (entry.isDone) this.#onLateReply(question, value);
          else this.#settle(entry, () => this.handlers.onReply(question, value));
        },
        (error: unknown) => {
          if (!entry.isDone) this.#settle(entry, () => this.handlers.onError(question, error));
        },
      );
    });
  }

  /** Comes when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#end();
  }

  #onLateReply(question: Question, reply: Reply): void {
    void attempt<void>(
      () => this.handlers.onLateReply(question, reply),
      () => undefined,
    );
  }

  #settle(entry: Entry<Question, Answer>, answer: () => Awaitable<Answer>): void {
    entry.isDone = true;
    this.#pending--;
    try {
      entry.resolve(answer());
    } catch (error) {
      entry.reject(error);
    }
    this.#forgetSettled();
    if (this.#pending > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** So that what has settled is not kept until its time is over. */
  #forgetSettled(): void {
    while (this.#queue[this.#first]?.isDone) this.#first++;
    if (this.#first < MAX_SETTLED && this.#pending > 0) return;
    this.#queue.splice(0, this.#first);
    this.#first = 0;
  }

  #expire(): void {
    if (this.#pending === 0) {
      this.#end();
      return;
    }
    const startedBy = this.clock.now() - this.budgetMs;
    const late: Entry<Question, Answer>[] = [];
    for (let at = this.#first; at < this.#queue.length; at++) {
      const entry = this.#queue[at] as Entry<Question, Answer>;
      if (entry.question.startedMs > startedBy) break;
      if (!entry.isDone) late.push(entry);
    }
    if (late.length === 0) return;
    // Replies may lie in the socket unread, when this process was busy: they are read first.
    setImmediate(() => {
      for (const entry of late) {
        if (!entry.isDone) this.#settle(entry, () => this.handlers.onTimeout(entry.question));
      }
    });
  }

  #end(): void {
    this.#stop?.();
    this.#stop = null;
  }
}

/** What is said of a call that nobody has answered in time. */
export class StoreTimeoutError extends Error {
  override readonly name = 'StoreTimeoutError';

  constructor(ms: number) {
    super(`The store gave no answer within ${ms} ms.`);
  }
}

/** What `call` gives within `ms` milliseconds; else it throws {@link StoreTimeoutError}. */
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
