import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { type Outcome, outcomeOf, uncharged } from '../core/decision.js';
import { isPromise } from '../plan/later.js';
import type { Limit } from '../plan/limit.js';
import type { Later } from '../store/store.js';
import type { RateLimitContext } from './context.js';
import type { Marked } from './last-guard.js';
import type { RoutePlan } from './plans.js';
import type { Runtime } from './runtime.js';
import { CALL, GUARD_BRAND, RUNTIME } from './tokens.js';

/**
 * Decides the limits of each call: sets the headers and lets it pass, or throws
 * {@link RateLimitException}. A call is decided once, however often the guard is registered.
 *
 * Subclass it to change who is charged, who is skipped, or what a denial does, and provide the subclass
 * in its place.
 *
 * @example
 * class TenantGuard extends RateLimitGuard {
 *   protected override async identity(context: RateLimitContext, limit: Limit<RateLimitContext>) {
 *     const own = await super.identity(context, limit);
 *     return own === null ? null : `tenant:${context.header('x-tenant')}+${own}`;
 *   }
 * }
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #identify = (context: RateLimitContext, limit: Limit<RateLimitContext>) =>
    this.identity(context, limit);

  constructor(@Inject(RUNTIME) protected readonly runtime: Runtime) {}

  canActivate(execution: ExecutionContext): Later<boolean> {
    const call = execution as Marked;
    if (call[CALL] !== undefined || !this.runtime.enabled) return true;
    call[CALL] = true;
    const plan = this.runtime.plans.of(execution);
    if (plan === null) return true;
    const context = this.runtime.contextOf(execution);
    if (context === null) return true;
    const skip = this.shouldSkip(context);
    if (isPromise(skip)) return skip.then((skipped) => skipped || this.#decideFirst(plan, context));
    return skip || this.#decideFirst(plan, context);
  }

  /** Who is charged under a limit, or null to skip it. Default: what the limit's key finds. */
  protected identity(context: RateLimitContext, limit: Limit<RateLimitContext>): Later<string | null> {
    return limit.identify(context);
  }

  /** Whether a call spends nothing and carries no headers. Default: what the module's `exempt` says. */
  protected shouldSkip(context: RateLimitContext): Later<boolean> {
    return this.runtime.exempt(context);
  }

  /** Refuses a call, whose headers it sets first. */
  protected deny(context: RateLimitContext, outcome: Outcome): never {
    throw this.runtime.responder.denial(context, outcome);
  }

  #decideFirst(plan: RoutePlan, context: RateLimitContext): Later<true> {
    const outcome = this.runtime.decide(plan.atGuard, context, this.#identify);
    return isPromise(outcome)
      ? outcome.then((known) => this.#answerFirst(plan, context, known))
      : this.#answerFirst(plan, context, outcome);
  }

  #answerFirst(plan: RoutePlan, context: RateLimitContext, outcome: Outcome): true {
    if (!outcome.allowed) this.deny(context, outcome);
    this.runtime.responder.announce(context, outcome);
    const { afterGuards } = plan;
    if (afterGuards !== null) {
      (context.execution as Marked)[CALL] = { finish: () => this.#finish(afterGuards, context, outcome) };
    } else if (plan.trustsUser) {
      this.runtime.lateUsers.watch(plan, context);
    }
    return true;
  }

  /** The second stage, once all other guards have run. */
  async #finish(limits: RoutePlan['atGuard'], context: RateLimitContext, first: Outcome): Promise<true> {
    if (await this.shouldSkip(context)) {
      await this.runtime.giveBack(first);
      this.runtime.responder.withdraw(context);
      return true;
    }
    const second = await this.runtime.decide(limits, context, this.#identify);
    const degraded = first.degraded || second.degraded;
    if (!second.allowed) {
      await this.runtime.giveBack(first);
      this.deny(context, outcomeOf([...first.decisions.map(uncharged), ...second.decisions], degraded));
    }
    this.runtime.responder.announce(context, outcomeOf([...first.decisions, ...second.decisions], degraded));
    return true;
  }
}

Object.defineProperty(RateLimitGuard.prototype, GUARD_BRAND, { value: 'deciding' });
