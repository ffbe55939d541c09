import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { type Awaitable, isPromise } from '../../core/awaitable.js';
import { type Decision, type Outcome, SKIPPED_OUTCOME, toOutcome } from '../../core/decision.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { normalizeIdentity } from '../../identity/identity.js';
import { addressIdentity } from '../../identity/key-forms.js';
import type { Publisher } from '../../observe/publisher.js';
import { callback, INVALID } from '../../plan/callbacks.js';
import { evaluate, type IdentityResolver } from '../../plan/evaluate.js';
import type { LimitInfo } from '../../plan/limit.js';
import { UnknownRateError } from '../../plan/rate-source.js';
import { type Store, type StoreReply, StoreUnavailableError } from '../../store/store.js';
import { RateLimitContext } from '../context/call-context.js';
import type { TransportName } from '../context/transports.js';
import type { MarkedExecution } from '../handlers/after-guards-guard.js';
import {
  GUARD_BRAND,
  GUARDED_STORE,
  PLANS,
  PUBLISHER,
  REQUEST_CHECK,
  RESPONDER,
  SETTINGS,
} from '../handlers/tokens.js';
import { type AccessLists, findListing } from './access-lists.js';
import {
  type Plans,
  RequestCheck,
  type RequestSettings,
  type RoutePhase,
  type RoutePlan,
  staticCharges,
} from './request-check.js';
import type { Responder } from './responder.js';
import { nodeResponse } from './response-end.js';

/**
 * Decides the limits of each call: sets the headers and lets it pass, or throws {@link RateLimitException}.
 *
 * Subclass it to change who is charged, who is skipped, or what a denial does. Register the subclass in its place:
 * `registerGuard: false` for the module, and `{ provide: APP_GUARD, useClass: TenantGuard }`.
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
  // Properties, so that a subclass may have a constructor of its own; with names that its fields do not hide.
  @Inject(SETTINGS) private readonly limitSettings!: RequestSettings;
  @Inject(PLANS) private readonly limitPlans!: Plans;
  @Inject(GUARDED_STORE) private readonly limitStore!: Store;
  @Inject(RESPONDER) private readonly limitResponder!: Responder;
  @Inject(PUBLISHER) private readonly limitPublisher!: Publisher;

  canActivate(execution: ExecutionContext): Awaitable<boolean> {
    const marked = execution as MarkedExecution;
    // A call is decided once, however often the guard is registered.
    if (marked[REQUEST_CHECK] !== undefined || !this.limitSettings.enabled) return true;
    marked[REQUEST_CHECK] = true;

    const known = this.limitPlans.byClass.get(execution.getClass())?.get(execution.getHandler());
    const plan = known === undefined ? this.limitPlans.compileLate(execution) : known;
    const { lists, readers } = this.limitSettings;
    if (plan === null && lists === null) return true;
    const reader = readers[execution.getType<TransportName>()];
    if (reader === undefined) return true;
    const context = new RateLimitContext(execution, reader);
    if (lists !== null) return this.#checkLists(lists, plan, context);
    return plan === null || this.#decide(new RequestCheck(plan, context), plan.beforeGuards);
  }

  async #checkLists(lists: AccessLists, plan: RoutePlan | null, context: RateLimitContext): Promise<boolean> {
    const listed = await findListing(lists, context);
    if (listed === 'deny') throw this.limitResponder.forbidden(context);
    if (listed === 'allow' || plan === null) return true;
    return this.#decide(new RequestCheck(plan, context), plan.beforeGuards);
  }

  /** Decides the limits of a phase in one call of the store: passes, or throws. */
  #decide(check: RequestCheck, phase: RoutePhase): Awaitable<true> {
    if (!phase.isStatic || this.#overridesIdentity) return this.#decideAsync(check, phase);
    const startMs = this.#startMs();
    let reply: Awaitable<StoreReply> | null;
    try {
      const charges = staticCharges(phase.limits, check.context);
      reply = charges.length === 0 ? null : this.limitStore.consume(charges);
    } catch (error) {
      return this.#fail(check, startMs, error);
    }
    // A store in this process replies without a promise.
    if (reply === null || !isPromise(reply)) return this.#conclude(check, phase, startMs, reply);
    return reply.then(
      (later) => this.#conclude(check, phase, startMs, later),
      (error) => this.#fail(check, startMs, error),
    );
  }

  /** Does the same where functions of the application take part. */
  async #decideAsync(check: RequestCheck, phase: RoutePhase): Promise<true> {
    if (phase.asksExempt && (await this.#isExempt(check.context))) return this.#exempt(check);
    const startMs = this.#startMs();
    let reply: StoreReply | null;
    try {
      const charges = await evaluate(phase.limits, check.context, this.#identityOf);
      reply = charges.length === 0 ? null : await this.limitStore.consume(charges);
    } catch (error) {
      return this.#fail(check, startMs, error);
    }
    return this.#conclude(check, phase, startMs, reply);
  }

  #startMs = (): number => (this.limitPublisher.measures ? performance.now() : 0);

  /** Sets the headers, then passes or throws. Other guards may still follow. */
  #conclude(check: RequestCheck, phase: RoutePhase, startMs: number, reply: StoreReply | null): true {
    if (this.limitPublisher.measures && reply !== null) check.durationMs += performance.now() - startMs;
    const outcome = reply === null ? SKIPPED_OUTCOME : toOutcome(reply.decisions, reply.degraded);
    const { afterGuards } = check.plan;
    check.isComplete = afterGuards === null || phase === afterGuards;
    check.add(outcome);
    if (!outcome.allowed) {
      this.#publish(check);
      return this.deny(check.context, check.outcome);
    }
    this.limitResponder.setHeaders(check.context, check.outcome);
    check.deferRefunds(outcome, this.#refund);
    if (check.isComplete) this.#publish(check);
    else this.#awaitGuards(check, afterGuards as RoutePhase);
    return true;
  }

  /** Leaves the second phase to `afterGuardsGuard`. If another guard rejects the call, the first one is published. */
  #awaitGuards(check: RequestCheck, phase: RoutePhase): void {
    const { context } = check;
    (context.execution as MarkedExecution)[REQUEST_CHECK] = { finish: () => this.#finish(check, phase) };
    const response = nodeResponse(context);
    if (response === null) return;
    // Read while there is a connection: a closed one tells no address.
    void context.address;
    response.once('close', () => this.#publish(check));
  }

  /** Decides the second phase, now that the user is known. If it throws, the charges of the first are given back. */
  async #finish(check: RequestCheck, phase: RoutePhase): Promise<true> {
    check.context = check.context.fork();
    try {
      return await this.#decide(check, phase);
    } catch (error) {
      this.#refund(check.cancelFirst());
      throw error;
    }
  }

  #exempt(check: RequestCheck): true {
    check.isPublished = true;
    this.#refund(check.cancelFirst());
    // Headers of the application with the same names stay, unless a first phase has set ours.
    if (check.plan.afterGuards !== null) this.limitResponder.removeHeaders(check.context);
    return true;
  }

  #fail(check: RequestCheck, startMs: number, error: unknown): never {
    if (this.limitPublisher.measures) check.durationMs += performance.now() - startMs;
    this.#publish(check, null, error);
    const outage = error instanceof StoreUnavailableError ? error : null;
    // An unknown rate was reported where the application was asked for it.
    if (outage === null && !(error instanceof UnknownRateError))
      this.limitSettings.report('store', 'A request could not be decided.', error);
    throw this.limitResponder.unavailable(check.context, outage);
  }

  #publish(check: RequestCheck, outcome: Outcome | null = check.outcome, error?: unknown): void {
    if (check.isPublished) return;
    check.isPublished = true;
    const { plan, context: caller, isComplete, durationMs } = check;
    this.limitPublisher.publish({ kind: 'request', plan, caller, outcome, error, isComplete, durationMs });
  }

  /** Gives charges back without waiting: a store that fails then lets them expire. */
  readonly #refund = async (decisions: readonly Decision[]): Promise<void> => {
    if (decisions.length === 0) return;
    try {
      await this.limitStore.refund(decisions);
    } catch (error) {
      this.limitSettings.report('store', 'A charge could not be given back.', error);
    }
  };

  /** Returns who is charged under a limit, or null to skip it. Default: the identity that the limit's key finds. */
  protected identity(
    context: RateLimitContext,
    limit: LimitInfo<RateLimitContext>,
  ): Awaitable<string | null> {
    return limit.identify(context);
  }

  /**
   * Returns true for a call that spends nothing and carries no headers. Called once, after other guards. Default: the
   * module's `exempt`.
   */
  protected shouldSkip(context: RateLimitContext): Awaitable<boolean> {
    return this.limitSettings.exempt?.(context) ?? false;
  }

  /** Denies a call: sets its headers and throws. */
  protected deny(context: RateLimitContext, outcome: Outcome): never {
    throw this.limitResponder.denied(context, outcome);
  }

  // A function, since Nest sets the properties after the fields are initialized.
  readonly #report: ErrorReporter = (...args) => this.limitSettings.report(...args);

  readonly #isExempt = callback((context: RateLimitContext) => this.shouldSkip(context), {
    source: 'guard',
    report: this.#report,
    failed: `The guard's shouldSkip() failed, so the call is not skipped.`,
    check: Boolean,
    fallback: () => false,
  });

  get #overridesIdentity(): boolean {
    return this.identity !== RateLimitGuard.prototype.identity;
  }

  readonly #identityOf: IdentityResolver<RateLimitContext> = (context, limit) =>
    this.#overridesIdentity ? this.#ownIdentity(context, limit) : limit.identify(context);

  readonly #ownIdentity = callback(
    (context: RateLimitContext, limit: LimitInfo<RateLimitContext>) => this.identity(context, limit),
    {
      source: (_context, { source }) => source,
      report: this.#report,
      failed: `The guard's identity() failed, so the client's address is charged.`,
      invalid: `The guard's identity() returned no identity, so the client's address is charged.`,
      check: (identity): string | null | typeof INVALID => {
        if (identity === null) return null;
        if (typeof identity !== 'string' || identity === '') return INVALID;
        return normalizeIdentity(identity, this.limitSettings.identityFormat, { acceptCanonical: true });
      },
      fallback: (context, { source }) => addressIdentity(context, (message) => this.#report(source, message)),
    },
  );
}

Object.defineProperty(RateLimitGuard.prototype, GUARD_BRAND, { value: 'limiting' });
