import { type Outcome, outcomeOf, SKIPPED, uncharged } from '../core/decision.js';
import { andThen, isPromise, type Later } from '../core/later.js';
import type { PartlyDecided } from '../plan/decide.js';
import type { Limit } from '../plan/limit.js';
import { responseOf } from './call-end.js';
import type { RateLimitContext } from './context.js';
import type { Marked, Unfinished } from './finishing-guard.js';
import type { GuardHooks } from './guard-hooks.js';
import { LateCharges } from './late-charges.js';
import type { RoutePlan } from './plans.js';
import type { Runtime } from './runtime.js';
import { CALL } from './tokens.js';

type Limits = readonly Limit<RateLimitContext>[];

const NONE: Limits = [];

/** One call of a handler on its way through the limits: in the guard, and once more behind all guards. */
export class Call implements Unfinished {
  /** What the guard has decided. */
  #first: Outcome = SKIPPED;
  /** What is left for when the user is known; null when nothing is, not even whether the caller is exempt. */
  #left: Limits | null = null;
  /** Limits of which it is to be seen whether they were decided too early. */
  #doubted: Limits = NONE;
  /** Whether those who watch know of it, or are not to. */
  #isTold = false;
  /** What may be given back at the end of the call; null when nothing is. */
  #late: LateCharges | null = null;

  constructor(
    readonly plan: RoutePlan,
    readonly context: RateLimitContext,
    readonly hooks: GuardHooks,
    readonly runtime: Runtime,
  ) {}

  /** In the guard: passes, or throws. */
  start(): Later<true> {
    const asksAgain = this.plan.afterGuards !== null;
    const skip = this.hooks.shouldSkip(asksAgain ? this.context.early() : this.context);
    if (isPromise(skip)) return skip.then((skipped) => skipped || this.#decide());
    return skip || this.#decide();
  }

  #decide(): Later<true> {
    const { atGuard, afterGuards, mayAskTooEarly } = this.plan;
    this.#left = afterGuards;
    if (mayAskTooEarly) {
      return this.runtime.decideWithoutUser(this.plan, this.context, this.hooks.identify, (partly) =>
        this.#answerPart(partly),
      );
    }
    return this.runtime.decide(this.plan, atGuard, this.context, this.hooks.identify, (outcome) =>
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
    this.runtime.responder.announce(this.context, outcome);
    this.#first = outcome;
    const { countsLater } = this.plan;
    if (countsLater !== null) {
      this.#late = LateCharges.of(countsLater, this.context, this.runtime);
      this.#late.add(outcome);
    }
    if (this.#left === null) {
      this.runtime.noteUser(this.plan, this.context);
      this.#tell(this.context, outcome);
    } else this.#tellAtEnd(outcome);
    if (this.#left !== null || this.#doubted.length > 0) (this.context.execution as Marked)[CALL] = this;
    return true;
  }

  /** Behind all guards, where the user is known: passes, or throws and takes back what the guard has charged. */
  finish(): Later<true> {
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

  #decideRest(left: Limits, context: RateLimitContext): Later<true> {
    // Nothing is left when only `exempt` had to wait for the user.
    if (left.length === 0) {
      this.#tell(context, this.#first);
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
      const first = this.#first.decisions.map(uncharged);
      this.#deny(context, outcomeOf([...first, ...second.decisions], degraded));
    }
    const both = outcomeOf([...this.#first.decisions, ...second.decisions], degraded);
    this.runtime.responder.announce(context, both);
    this.#tell(context, both);
    this.#late?.add(second);
    return true;
  }

  #deny(context: RateLimitContext, outcome: Outcome): never {
    this.#tell(context, outcome);
    return this.hooks.deny(context, outcome);
  }

  /** For a call that another guard may refuse before the rest is decided. */
  #tellAtEnd(outcome: Outcome): void {
    const { context } = this;
    const response = responseOf(context);
    if (response === null) return;
    // Asked for while there is a connection: one that is closed tells no address.
    void context.address;
    response.once('close', () => this.#tell(context, outcome));
  }

  /** Tells once what became of it: of a call that another guard has refused meanwhile, what was decided by then. */
  #tell(context: RateLimitContext, outcome: Outcome): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.runtime.observer.decided(this.plan, context, outcome);
  }

  #exempt(): true {
    this.#isTold = true;
    this.#giveBackFirst();
    this.runtime.responder.withdraw(this.context);
    return true;
  }

  #refused(error: unknown): never {
    this.#isTold = true;
    this.#giveBackFirst();
    throw error;
  }

  /** For which no answer waits: a store may be slow. */
  #giveBackFirst(): void {
    void this.runtime.giveBack(this.#late === null ? this.#first : this.#late.takeBack(this.#first));
  }
}
