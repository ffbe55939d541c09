import { type Decision, isDenial, isShadowDenial, type Outcome } from '../core/decision.js';
import { identityKind } from '../identity/identity.js';
import { StoreUnavailableError } from '../store/store.js';
import type { RateLimitEventName, RateLimitEvents } from './events.js';
import type { RequestDecided, Subscriber } from './publisher.js';

type RequestEventName = Exclude<RateLimitEventName, 'breaker' | 'recovered'>;

const startsBlock = (decision: Decision): boolean => decision.startsBlock;

/** Subscribes the events of the application. Makes no event without listeners. */
export const emitEvents =
  (events: RateLimitEvents): Subscriber =>
  (event) => {
    switch (event.kind) {
      case 'request':
        if (event.outcome === null) emitFailure(events, event);
        else emitOutcome(events, event, event.outcome);
        break;
      case 'breaker':
        events.emit('breaker', { shard: event.shard, state: event.state, cause: event.cause });
        break;
      case 'recovered':
        events.emit('recovered', { afterMs: event.afterMs, degraded: event.degraded });
        break;
    }
  };

function emitOutcome(events: RateLimitEvents, { plan, caller }: RequestDecided, outcome: Outcome): void {
  const { route, hasShadows } = plan;
  const { decisions, decidedBy } = outcome;
  const emit = (name: RequestEventName, about: readonly Decision[]): void =>
    events.emit(name, {
      route,
      transport: caller.transport,
      outcome,
      limits: about.map((decision) => decision.name),
      identityKind: decidedBy === null ? null : identityKind(decidedBy.charge.identity),
      waitMs: outcome.retryAfterMs,
    });
  const emitAbout = (name: RequestEventName, isAbout: (decision: Decision) => boolean): void => {
    if (!events.hasListeners(name)) return;
    const about = decisions.filter(isAbout);
    if (about.length > 0) emit(name, about);
  };
  if (outcome.allowed) {
    if (events.hasListeners('allowed')) emit('allowed', decisions);
  } else {
    emitAbout('denied', isDenial);
    emitAbout('blocked', startsBlock);
  }
  if (hasShadows) emitAbout('shadow-denied', isShadowDenial);
  if (outcome.degraded && events.hasListeners('degraded')) emit('degraded', decisions);
}

/** Of requests that could not be decided, only those rejected because of the store have an event. */
function emitFailure(events: RateLimitEvents, { plan, caller, error }: RequestDecided): void {
  if (!(error instanceof StoreUnavailableError) || !events.hasListeners('degraded')) return;
  events.emit('degraded', {
    route: plan.route,
    transport: caller.transport,
    outcome: null,
    limits: error.limits,
    identityKind: null,
    waitMs: error.retryAfterMs,
  });
}
