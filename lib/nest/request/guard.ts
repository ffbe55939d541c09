import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { type Awaitable, andThen } from '../../core/awaitable.js';
import type { Outcome } from '../../core/decision.js';
import type { LimitInfo } from '../../plan/limit.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { MarkedExecution } from '../handlers/after-guards-guard.js';
import { GUARD_BRAND, REQUEST_CHECK, RUNTIME } from '../handlers/tokens.js';
import type { RoutePlan } from '../startup/plan-registry.js';
import { type GuardHooks, guardHooks, type OwnWays } from './guard-hooks.js';
import { RequestCheck } from './request-check.js';
import type { Runtime } from './runtime.js';

/**
 * Decides the limits of each call: sets the headers and lets it pass, or throws
 * {@link RateLimitException}. A call is decided once, however often the guard is registered.
 *
 * Subclass it to change who is charged, who is skipped, or what a denial does. Register the subclass in
 * its place: `registerGuard: false` for the module, and `{ provide: APP_GUARD, useClass: TenantGuard }`.
 *
 * @example
 * class TenantGuard extends RateLimitGuard {
 *   protected override identity(context: RateLimitContext, limit: LimitInfo<RateLimitContext>) {
 *     const tenant = context.header('x-tenant');
 *     return tenant === undefined ? super.identity(context, limit) : `tenant:${tenant}`;
 *   }
 * }
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  // A property, so that a subclass may have a constructor of its own.
  @Inject(RUNTIME) private readonly runtime!: Runtime;
  #hooks: GuardHooks | undefined;

  canActivate(execution: ExecutionContext): Awaitable<boolean> {
    const call = execution as MarkedExecution;
    if (call[REQUEST_CHECK] !== undefined || !this.runtime.enabled) return true;
    call[REQUEST_CHECK] = true;
    const plan = this.runtime.plans.of(execution);
    const { hasLists } = this.runtime;
    const context = plan === null && !hasLists ? null : this.runtime.contextOf(execution);
    if (context === null) return true;
    if (!hasLists) return this.#decide(plan, context);
    return andThen(this.runtime.screen(context), (isAllowed) => isAllowed || this.#decide(plan, context));
  }

  #decide(plan: RoutePlan | null, context: RateLimitContext): Awaitable<boolean> {
    if (plan === null) return true;
    this.#hooks ??= guardHooks(this.#own(), this.runtime);
    return new RequestCheck(plan, context, this.#hooks, this.runtime).start();
  }

  /** Who is charged under a limit, or null to skip it. Default: what the limit's key finds. */
  protected identity(
    context: RateLimitContext,
    limit: LimitInfo<RateLimitContext>,
  ): Awaitable<string | null> {
    return limit.identify(context);
  }

  /** Whether a call spends nothing and carries no headers. Default: what the module's `exempt` says. */
  protected shouldSkip(context: RateLimitContext): Awaitable<boolean> {
    return this.runtime.exempt(context);
  }

  /** Refuses a call, whose headers it sets first. */
  protected deny(context: RateLimitContext, outcome: Outcome): never {
    throw this.runtime.responder.denied(context, outcome);
  }

  #own(): OwnWays {
    const { identity, shouldSkip } = RateLimitGuard.prototype;
    return {
      identity: this.identity === identity ? null : (...given) => this.identity(...given),
      shouldSkip: this.shouldSkip === shouldSkip ? null : (context) => this.shouldSkip(context),
      deny: (...given) => this.deny(...given),
    };
  }
}

Object.defineProperty(RateLimitGuard.prototype, GUARD_BRAND, { value: 'limiting' });
