import { type Awaitable, andThen, isPromise } from '../../core/awaitable.js';
import { type Outcome, SKIPPED_OUTCOME, toOutcome, withoutCharge } from '../../core/decision.js';
import type { PartlyDecided } from '../../plan/evaluate.js';
import type { Limit } from '../../plan/limit.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { MarkedExecution, PendingCheck } from '../handlers/after-guards-guard.js';
import { REQUEST_CHECK } from '../handlers/tokens.js';
import type { RoutePlan } from '../startup/plan-registry.js';
import { DeferredRefunds } from './deferred-refunds.js';
import type { GuardHooks } from './guard-hooks.js';
import { nodeResponse } from './response-end.js';
import type { Runtime } from './runtime.js';

type Limits = readonly Limit<RateLimitContext>[];

const NONE: Limits = [];

/** One call of a handler on its way through the limits: in the guard, and once more behind all guards. */
export class RequestCheck implements PendingCheck {
  /** What the guard has decided. */
  #first: Outcome = SKIPPED_OUTCOME;
  /** What is left for when the user is known; null when nothing is, not even whether the caller is exempt. */
  #left: Limits | null = null;
  /** Limits of which it is to be seen whether they were decided too early. */
  #doubted: Limits = NONE;
  /** Whether those who watch know of it, or are not to. */
  #isPublished = false;
  /** What may be given back at the end of the call; null when nothing is. */
  #refunds: DeferredRefunds | null = null;

  constructor(
    readonly plan: RoutePlan,
    readonly context: RateLimitContext,
    readonly hooks: GuardHooks,
    readonly runtime: Runtime,
  ) {}

  /** In the guard: passes, or throws. */
  start(): Awaitable<true> {
    const asksAgain = this.plan.afterGuards !== null;
    const skip = this.hooks.shouldSkip(asksAgain ? this.context.early() : this.context);
    if (isPromise(skip)) return skip.then((skipped) => skipped || this.#decide());
    return skip || this.#decide();
  }

  #decide(): Awaitable<true> {
    const { beforeGuards, afterGuards, mayAskTooEarly } = this.plan;
    this.#left = afterGuards;
    if (mayAskTooEarly) {
      return this.runtime.decideWithoutUser(this.plan, this.context, this.hooks.identify, (partly) =>
        this.#answerPart(partly),
      );
    }
    return this.runtime.decide(this.plan, beforeGuards, this.context, this.hooks.identify, (outcome) =>
      this.#answer(outcome),
    );
  }

  #answerPart({ outcome, left, touchedRequest }: PartlyDecided<RateLimitContext>): true {
    const { earlyAsks } = this.runtime;
    if (left.length > 0) {
      this.#left = [...(this.plan.afterGuards ?? NONE), ...left];
      earlyAsks.noteLeft(left);
    }
    this.#doubted = earlyAsks.worthALook(touchedRequest);
    return this.#answer(outcome);
  }

  #answer(outcome: Outcome): true {
    if (!outcome.allowed) this.#deny(this.context, outcome);
    this.runtime.responder.setHeaders(this.context, outcome);
    this.#first = outcome;
    const { refundable } = this.plan;
    if (refundable !== null) {
      this.#refunds = DeferredRefunds.start(refundable, this.context, this.runtime);
      this.#refunds.add(outcome);
    }
    if (this.#left === null) {
      this.runtime.noteUser(this.plan, this.context);
      this.#publish(this.context, outcome);
    } else this.#publishAtEnd(outcome);
    if (this.#left !== null || this.#doubted.length > 0)
      (this.context.execution as MarkedExecution)[REQUEST_CHECK] = this;
    return true;
  }

  /** Behind all guards, where the user is known: passes, or throws and takes back what the guard has charged. */
  finish(): Awaitable<true> {
    const context = this.context.fork();
    if (this.#doubted.length > 0 && context.authenticated) this.runtime.earlyAsks.noteUserCame(this.#doubted);
    const left = this.#left;
    if (left === null) return true;
    try {
      const skip = this.hooks.shouldSkip(context);
      const passes = andThen(skip, (skipped) => (skipped ? this.#exempt() : this.#decideRest(left, context)));
      return isPromise(passes) ? passes.catch((error) => this.#refused(error)) : passes;
    } catch (error) {
      return this.#refused(error);
    }
  }

  #decideRest(left: Limits, context: RateLimitContext): Awaitable<true> {
    // Nothing is left when only `exempt` had to wait for the user.
    if (left.length === 0) {
      this.#publish(context, this.#first);
      return true;
    }
    return this.runtime.decide(this.plan, left, context, this.hooks.identify, (second) =>
      this.#answerRest(context, second),
    );
  }

  #answerRest(context: RateLimitContext, second: Outcome): true {
    this.runtime.noteUser(this.plan, context);
    const degraded = this.#first.degraded || second.degraded;
    if (!second.allowed) {
      const first = this.#first.decisions.map(withoutCharge);
      this.#deny(context, toOutcome([...first, ...second.decisions], degraded));
    }
    const both = toOutcome([...this.#first.decisions, ...second.decisions], degraded);
    this.runtime.responder.setHeaders(context, both);
    this.#publish(context, both);
    this.#refunds?.add(second);
    return true;
  }

  #deny(context: RateLimitContext, outcome: Outcome): never {
    this.#publish(context, outcome);
    return this.hooks.deny(context, outcome);
  }

  /** For a call that another guard may refuse before the rest is decided. */
  #publishAtEnd(outcome: Outcome): void {
    const { context } = this;
    const response = nodeResponse(context);
    if (response === null) return;
    // Asked for while there is a connection: one that is closed tells no address.
    void context.address;
    response.once('close', () => this.#publish(context, outcome));
  }

  /** Tells once what became of it: of a call that another guard has refused meanwhile, what was decided by then. */
  #publish(context: RateLimitContext, outcome: Outcome): void {
    if (this.#isPublished) return;
    this.#isPublished = true;
    this.runtime.observer.decided(this.plan, context, outcome);
  }

  #exempt(): true {
    this.#isPublished = true;
    this.#giveBackFirst();
    this.runtime.responder.removeHeaders(this.context);
    return true;
  }

  #refused(error: unknown): never {
    this.#isPublished = true;
    this.#giveBackFirst();
    throw error;
  }

  /** For which no answer waits: a store may be slow. */
  #giveBackFirst(): void {
    void this.runtime.giveBack(this.#refunds === null ? this.#first : this.#refunds.cancel(this.#first));
  }
}
