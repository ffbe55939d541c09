import { type Decision, type Outcome, outcomeOf } from '../core/decision.js';
import { andThen } from '../core/later.js';
import type { Limit } from '../plan/limit.js';
import type { CallResult } from '../plan/options.js';
import { CallEnd } from './call-end.js';
import type { RateLimitContext } from './context.js';
import { watchHandler } from './counting-interceptor.js';
import type { Runtime } from './runtime.js';

/** Charges of a call that are given back at its end, where their limits say that it does not count. */
export class LateCharges {
  #charged: readonly Decision[] = [];
  /** What became of the call, once it is over. */
  #result: CallResult | null = null;

  private constructor(
    readonly limits: readonly Limit<RateLimitContext>[],
    readonly context: RateLimitContext,
    readonly runtime: Runtime,
  ) {}

  /** For a call that is now on its way. */
  static of(
    limits: readonly Limit<RateLimitContext>[],
    context: RateLimitContext,
    runtime: Runtime,
  ): LateCharges {
    const late = new LateCharges(limits, context, runtime);
    watchHandler(context.execution, new CallEnd(context, (result) => late.#end(result)));
    return late;
  }

  /** Adds what the call was charged. */
  add({ decisions }: Outcome): void {
    this.#charged = [...this.#charged, ...decisions.filter(({ receipt }) => receipt !== null)];
    // A response may be finished while guards are still at work.
    if (this.#result !== null) this.#ask(this.#result);
  }

  /** What there is to give back of an outcome that counts for nothing: no limit is asked about it any more. */
  takeBack(outcome: Outcome): Outcome {
    this.#charged = [];
    if (this.#result === null) return outcome;
    return outcomeOf(
      outcome.decisions.filter((decision) => this.#limitOf(decision) === undefined),
      outcome.degraded,
    );
  }

  #limitOf({ name }: Decision): Limit<RateLimitContext> | undefined {
    return this.limits.find((limit) => limit.name === name);
  }

  #end(result: CallResult): void {
    this.#result = result;
    this.#ask(result);
  }

  #ask(result: CallResult): void {
    // Each charge once, also where a call ends twice: its client hung up, and was answered all the same.
    const charged = this.#charged;
    this.#charged = [];
    // The user may have become known since.
    const context = this.context.fork();
    for (const decision of charged) {
      const counts = this.#limitOf(decision)?.counts?.(context, result) ?? true;
      void andThen(counts, (does) =>
        does ? undefined : this.runtime.giveBack(outcomeOf([decision], false)),
      );
    }
  }
}
