import type { Decision } from '../../core/decision.js';
import type { Limit } from '../../plan/limit.js';
import type { CallResult } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';
import { listenToHandler } from '../handlers/result-interceptor.js';
import { ResponseEnd } from './response-end.js';

/** Gives charges back, without anybody waiting for it. */
export type Refund = (decisions: readonly Decision[]) => unknown;

/** Asks `countWhen` at the end of a call, and gives back the charges that do not count. */
export class DeferredRefunds {
  #charged: readonly Decision[] = [];
  /** Null until the call has ended. */
  #result: CallResult | null = null;

  private constructor(
    readonly limits: ReadonlyMap<string, Limit<RateLimitContext>>,
    readonly context: RateLimitContext,
    readonly refund: Refund,
  ) {}

  /** Starts to listen for the end of a call that is on its way now. */
  static start(
    limits: ReadonlyMap<string, Limit<RateLimitContext>>,
    context: RateLimitContext,
    refund: Refund,
  ): DeferredRefunds {
    const refunds = new DeferredRefunds(limits, context, refund);
    const end = (result: CallResult): void => {
      refunds.#result = result;
      refunds.#ask(result);
    };
    listenToHandler(context.execution, new ResponseEnd(context, end));
    return refunds;
  }

  add(decisions: readonly Decision[]): void {
    const charged = decisions.filter(({ name, receipt }) => receipt !== null && this.limits.has(name));
    this.#charged = [...this.#charged, ...charged];
    // A response may be finished while guards are still at work.
    if (this.#result !== null) this.#ask(this.#result);
  }

  /** Asks nothing more, and returns the charges that it has not asked about yet. */
  cancel(charged: readonly Decision[]): readonly Decision[] {
    this.#charged = [];
    return this.#result === null ? charged : charged.filter(({ name }) => !this.limits.has(name));
  }

  #ask(result: CallResult): void {
    // Each charge once, even if a call ends twice: its client hung up, and was sent a response all the same.
    const charged = this.#charged;
    this.#charged = [];
    // The user may have become known since.
    const context = this.context.fork();
    for (const decision of charged) void this.#askOf(decision, context, result);
  }

  async #askOf(decision: Decision, context: RateLimitContext, result: CallResult): Promise<void> {
    const counts = await this.limits.get(decision.name)?.countWhen?.(context, result);
    if (counts === false) this.refund([decision]);
  }
}
