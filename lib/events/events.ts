import type { BreakerState } from '../core/health.js';
import { attempt } from '../core/later.js';

/** A request was decided without the store, or was refused for want of it. */
export interface DegradedEvent {
  /** Names of its limits. */
  readonly limits: readonly string[];
  /** What failed; null where what this process had admitted during an outage left no room. */
  readonly cause: unknown;
}

/** Calls to the store, or to a node of a Cluster, stop, are tried, or go on. */
export interface BreakerEvent {
  /** The node, as `host:port`; empty for a store that fails as a whole. */
  readonly part: string;
  readonly state: BreakerState;
  /** What failed last; undefined when it works again. */
  readonly cause: unknown;
}

/** All of the store decides again. */
export interface RecoveredEvent {
  /** Milliseconds since calls to it stopped. */
  readonly afterMs: number;
  /** Requests that were decided without it, or refused, in that time. */
  readonly degraded: number;
}

/** What may be heard, by name. */
export interface RateLimitEventMap {
  readonly degraded: DegradedEvent;
  readonly breaker: BreakerEvent;
  readonly recovered: RecoveredEvent;
}

/** The name of an event. */
export type RateLimitEventName = keyof RateLimitEventMap;

/** Is told of events of one name. */
export type RateLimitEventHandler<Name extends RateLimitEventName> = (
  event: RateLimitEventMap[Name],
) => unknown;

/** What is called once, in place of a handler. */
interface Once<Name extends RateLimitEventName> {
  handler?: RateLimitEventHandler<Name>;
}

/**
 * Tells what becomes of requests and of the store. Handlers are called at once, one after the other; what one
 * throws, now or later, is logged, and neither the request nor the other handlers feel it.
 *
 * @example
 * @Injectable()
 * class Pager {
 *   constructor(events: RateLimitEvents) {
 *     events.on('breaker', ({ state, cause }) => { if (state === 'open') this.page(cause); });
 *   }
 * }
 */
export class RateLimitEvents {
  readonly #handlers = new Map<RateLimitEventName, readonly RateLimitEventHandler<never>[]>();

  /** @param failed Hears of what handlers throw. */
  constructor(readonly failed: (name: RateLimitEventName, error: unknown) => void) {}

  /** Calls `handler` at each event of a name. */
  on<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    this.#handlers.set(name, [...this.#of(name), handler]);
    return this;
  }

  /** Calls `handler` at the next event of a name alone. */
  once<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    const first: RateLimitEventHandler<Name> & Once<Name> = (event) => {
      this.off(name, first);
      return handler(event);
    };
    first.handler = handler;
    return this.on(name, first);
  }

  /** Calls `handler` no more. */
  off<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    this.#handlers.set(
      name,
      this.#of(name).filter((one) => one !== handler && (one as Once<Name>).handler !== handler),
    );
    return this;
  }

  /** @internal Whether anybody hears of a name, so that an event is worth making. */
  isHeard(name: RateLimitEventName): boolean {
    return this.#of(name).length > 0;
  }

  /** @internal */
  emit<Name extends RateLimitEventName>(name: Name, event: RateLimitEventMap[Name]): void {
    for (const handler of this.#of(name) as readonly RateLimitEventHandler<Name>[]) {
      attempt(
        () => handler(event),
        (error) => this.failed(name, error),
      );
    }
  }

  #of(name: RateLimitEventName): readonly RateLimitEventHandler<never>[] {
    return this.#handlers.get(name) ?? [];
  }
}
