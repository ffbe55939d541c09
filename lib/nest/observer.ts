import { type Decision, denies, type Outcome } from '../core/decision.js';
import type { RateLimitEventName, RateLimitEvents, RequestEvent } from '../events/events.js';
import { kindOf } from '../key/identity.js';
import type { StoreUnavailableError } from '../store/store.js';
import type { RateLimitContext } from './context.js';
import type { DenialLog } from './denial-log.js';
import type { RoutePlan } from './plans.js';

const nameOf = ({ name }: Decision): string => name;
const wouldDeny = ({ allowed, charge }: Decision): boolean => !allowed && charge.shadow;
const startsBlock = (decision: Decision): boolean => decision.startsBlock;

/** Tells those who watch what became of requests. Nothing of it is felt by a request but its time. */
export class Observer {
  constructor(
    readonly events: RateLimitEvents,
    /** Null when denials are not logged. */
    readonly denials: DenialLog | null,
  ) {}

  /** To be told once of each request, what became of it. */
  decided(plan: RoutePlan, context: RateLimitContext, outcome: Outcome): void {
    const { decisions, binding, allowed, degraded } = outcome;
    if (allowed) this.#tell('allowed', plan, context, outcome, decisions);
    else {
      if (binding !== null) this.denials?.denied(plan.route, binding);
      this.#tellSome('denied', denies, plan, context, outcome);
      this.#tellSome('blocked', startsBlock, plan, context, outcome);
    }
    if (plan.hasShadows) {
      for (const decision of decisions) {
        if (wouldDeny(decision)) this.denials?.shadowDenied(plan.route, decision);
      }
      this.#tellSome('shadow-denied', wouldDeny, plan, context, outcome);
    }
    if (degraded) this.#tell('degraded', plan, context, outcome, decisions);
  }

  /** To be told of each request that was refused for want of the store. */
  refused(
    { route }: RoutePlan,
    { transport }: RateLimitContext,
    { limits, retryAfterMs: waitMs }: StoreUnavailableError,
  ): void {
    if (!this.events.isHeard('degraded')) return;
    this.events.emit('degraded', { route, transport, outcome: null, limits, identityKind: null, waitMs });
  }

  /** An event about those decisions that it concerns; none where it concerns none. */
  #tellSome(
    name: Exclude<RateLimitEventName, 'breaker' | 'recovered'>,
    concerns: (decision: Decision) => boolean,
    plan: RoutePlan,
    context: RateLimitContext,
    outcome: Outcome,
  ): void {
    if (!this.events.isHeard(name)) return;
    const some = outcome.decisions.filter(concerns);
    if (some.length > 0) this.#tell(name, plan, context, outcome, some);
  }

  #tell(
    name: Exclude<RateLimitEventName, 'breaker' | 'recovered'>,
    { route }: RoutePlan,
    { transport }: RateLimitContext,
    outcome: Outcome,
    concerned: readonly Decision[],
  ): void {
    if (!this.events.isHeard(name)) return;
    const { binding, retryAfterMs } = outcome;
    const event: RequestEvent = {
      route,
      transport,
      outcome,
      limits: concerned.map(nameOf),
      identityKind: binding === null ? null : kindOf(binding.charge.identity),
      waitMs: retryAfterMs,
    };
    this.events.emit(name, event);
  }
}
