import { andThen } from '../../core/awaitable.js';
import { type Decision, type Outcome, toOutcome } from '../../core/decision.js';
import type { Limit } from '../../plan/limit.js';
import type { CallResult } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';
import { listenToHandler } from '../handlers/result-interceptor.js';
import { ResponseEnd } from './response-end.js';
import type { Runtime } from './runtime.js';

/** Charges of a call that are given back at its end, where their limits say that it does not count. */
export class DeferredRefunds {
  #charged: readonly Decision[] = [];
  /** What became of the call, once it is over. */
  #result: CallResult | null = null;

  private constructor(
    readonly limits: readonly Limit<RateLimitContext>[],
    readonly context: RateLimitContext,
    readonly runtime: Runtime,
  ) {}

  /** For a call that is now on its way. */
  static start(
    limits: readonly Limit<RateLimitContext>[],
    context: RateLimitContext,
    runtime: Runtime,
  ): DeferredRefunds {
    const refunds = new DeferredRefunds(limits, context, runtime);
    listenToHandler(context.execution, new ResponseEnd(context, (result) => refunds.#end(result)));
    return refunds;
  }

  /** Adds what the call was charged. */
  add({ decisions }: Outcome): void {
    this.#charged = [...this.#charged, ...decisions.filter(({ receipt }) => receipt !== null)];
    // A response may be finished while guards are still at work.
    if (this.#result !== null) this.#ask(this.#result);
  }

  /** What there is to give back of an outcome that counts for nothing: no limit is asked about it any more. */
  cancel(outcome: Outcome): Outcome {
    this.#charged = [];
    if (this.#result === null) return outcome;
    return toOutcome(
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
      const counts = this.#limitOf(decision)?.countWhen?.(context, result) ?? true;
      void andThen(counts, (does) =>
        does ? undefined : this.runtime.giveBack(toOutcome([decision], false)),
      );
    }
  }
}
