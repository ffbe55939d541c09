import { type Decision, isDenial, type Outcome } from '../core/decision.js';
import { identityKind } from '../identity/identity.js';
import type { RateLimitContext } from '../nest/context/call-context.js';
import type { RoutePlan } from '../nest/startup/plan-registry.js';
import type { StoreUnavailableError } from '../store/store.js';
import type { DenialLog } from './denial-log.js';
import type { RateLimitEventName, RateLimitEvents, RequestEvent } from './events.js';
import type { RateLimitStats } from './stats/stats.js';
import type { Telemetry } from './telemetry.js';

const nameOf = ({ name }: Decision): string => name;
const isShadowDenial = ({ allowed, charge }: Decision): boolean => !allowed && charge.shadow;
const startsBlock = (decision: Decision): boolean => decision.startsBlock;

const REFUSED = { allowed: false, degraded: true, decisions: [] };
const FAILED = { allowed: false, degraded: false, decisions: [] };

/** The user that a limit has charged, alone and not together with something else; null for none. */
function chargedUser(decisions: readonly Decision[]): string | null {
  for (const { charge } of decisions) {
    if (charge.identity.startsWith('user:') && !charge.identity.includes('+')) return charge.identity;
  }
  return null;
}

/** Tells those who watch what became of requests. Nothing of it is felt by a request but its time. */
export class Observer {
  constructor(
    readonly events: RateLimitEvents,
    /** Null when denials are not logged. */
    readonly denials: DenialLog | null,
    /** Null when nothing is counted. */
    readonly stats: RateLimitStats | null,
    /** Null when nothing is measured. */
    readonly telemetry: Telemetry | null,
  ) {}

  /** To be told once of each request, what became of it. */
  decided(plan: RoutePlan, context: RateLimitContext, outcome: Outcome): void {
    const { decisions, decidedBy, allowed, degraded } = outcome;
    this.stats?.record(plan.counter, outcome, context.address, chargedUser(decisions));
    this.telemetry?.decided(plan, outcome);
    if (allowed) this.#tell('allowed', plan, context, outcome, decisions);
    else {
      if (decidedBy !== null) this.denials?.denied(plan.route, decidedBy);
      this.#tellSome('denied', isDenial, plan, context, outcome);
      this.#tellSome('blocked', startsBlock, plan, context, outcome);
    }
    if (plan.hasShadows) {
      for (const decision of decisions) {
        if (isShadowDenial(decision)) this.denials?.shadowDenied(plan.route, decision);
      }
      this.#tellSome('shadow-denied', isShadowDenial, plan, context, outcome);
    }
    if (degraded) this.#tell('degraded', plan, context, outcome, decisions);
  }

  /** To be told of each request that was refused for want of the store. */
  refused(
    plan: RoutePlan,
    { transport }: RateLimitContext,
    { limits, retryAfterMs: waitMs }: StoreUnavailableError,
  ): void {
    const { route, counter } = plan;
    this.telemetry?.refused(plan, limits);
    // Of no client, since none was found to ask for too much.
    this.stats?.record(counter, REFUSED, null, null);
    if (!this.events.hasListeners('degraded')) return;
    this.events.emit('degraded', { route, transport, outcome: null, limits, identityKind: null, waitMs });
  }

  /** To be told of each request that could not be decided for another reason. */
  failed({ counter }: RoutePlan): void {
    this.stats?.record(counter, FAILED, null, null);
  }

  /** An event about those decisions that it concerns; none where it concerns none. */
  #tellSome(
    name: Exclude<RateLimitEventName, 'breaker' | 'recovered'>,
    concerns: (decision: Decision) => boolean,
    plan: RoutePlan,
    context: RateLimitContext,
    outcome: Outcome,
  ): void {
    if (!this.events.hasListeners(name)) return;
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
    if (!this.events.hasListeners(name)) return;
    const { decidedBy, retryAfterMs } = outcome;
    const event: RequestEvent = {
      route,
      transport,
      outcome,
      limits: concerned.map(nameOf),
      identityKind: decidedBy === null ? null : identityKind(decidedBy.charge.identity),
      waitMs: retryAfterMs,
    };
    this.events.emit(name, event);
  }
}
