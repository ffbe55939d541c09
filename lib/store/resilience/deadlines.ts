import type { Clock } from '../../core/clock.js';
import { attempt, type Later } from '../../core/later.js';

/** What was asked, and when. */
export interface Asked {
  readonly startedMs: number;
}

/** What becomes of a question. Those that throw reject it. */
export interface Ways<Question, Reply, Answer> {
  answered(question: Question, reply: Reply): Later<Answer>;
  failed(question: Question, error: unknown): Later<Answer>;
  /** There was no reply in time. */
  late(question: Question): Later<Answer>;
  /** A reply to a question that was late; nobody hears of what it throws. */
  tooLate(question: Question, reply: Reply): void;
}

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Later<Answer>) => void;
  readonly reject: (error: unknown) => void;
  isDone: boolean;
}

/** How late an expiry may be, as a share of the budget. */
const GRAIN = 0.1;
/** How many that have settled may stand first in the queue: to move it for each would take long. */
const KEPT_SETTLED = 1_000;

/** One time budget for many questions: as it is the same for all, they end in the order in which they began. */
export class Deadlines<Question extends Asked, Reply, Answer> {
  #queue: Waiting<Question, Answer>[] = [];
  /** Those before it in the queue have settled. */
  #first = 0;
  #pending = 0;
  #stop: (() => void) | null = null;
  #idle: (() => void)[] = [];

  constructor(
    readonly budgetMs: number,
    readonly clock: Clock,
    readonly ways: Ways<Question, Reply, Answer>,
  ) {}

  /** Waits for the reply to a question that was asked just now, and no longer than its budget. */
  wait(question: Question, reply: Promise<Reply>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const waiting = { question, resolve, reject, isDone: false };
      this.#queue.push(waiting);
      this.#pending++;
      this.#stop ??= this.clock.every(Math.max(1, Math.floor(GRAIN * this.budgetMs)), () => this.#look());
      reply.then(
        (value) => {
          if (waiting.isDone) this.#tooLate(question, value);
          else this.#settle(waiting, () => this.ways.answered(question, value));
        },
        (error: unknown) => {
          if (!waiting.isDone) this.#settle(waiting, () => this.ways.failed(question, error));
        },
      );
    });
  }

  /** Comes when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#end();
  }

  #tooLate(question: Question, reply: Reply): void {
    void attempt<void>(
      () => this.ways.tooLate(question, reply),
      () => undefined,
    );
  }

  #settle(waiting: Waiting<Question, Answer>, answer: () => Later<Answer>): void {
    waiting.isDone = true;
    this.#pending--;
    try {
      waiting.resolve(answer());
    } catch (error) {
      waiting.reject(error);
    }
    this.#forgetSettled();
    if (this.#pending > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** So that what has settled is not kept until its time is over. */
  #forgetSettled(): void {
    while (this.#queue[this.#first]?.isDone) this.#first++;
    if (this.#first < KEPT_SETTLED && this.#pending > 0) return;
    this.#queue.splice(0, this.#first);
    this.#first = 0;
  }

  #look(): void {
    if (this.#pending === 0) {
      this.#end();
      return;
    }
    const startedBy = this.clock.now() - this.budgetMs;
    const late: Waiting<Question, Answer>[] = [];
    for (let at = this.#first; at < this.#queue.length; at++) {
      const waiting = this.#queue[at] as Waiting<Question, Answer>;
      if (waiting.question.startedMs > startedBy) break;
      if (!waiting.isDone) late.push(waiting);
    }
    if (late.length === 0) return;
    // Replies may lie in the socket unread, when this process was busy: they are read first.
    setImmediate(() => {
      for (const waiting of late) {
        if (!waiting.isDone) this.#settle(waiting, () => this.ways.late(waiting.question));
      }
    });
  }

  #end(): void {
    this.#stop?.();
    this.#stop = null;
  }
}
