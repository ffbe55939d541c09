import { channel } from 'node:diagnostics_channel';
import { attempt } from '../core/awaitable.js';
import type { Outcome } from '../core/decision.js';
import type { BreakerState } from '../resilience/health.js';

/** What became of a request of a route. */
export interface RequestEvent {
  /** `Class.method`. */
  readonly route: string;
  /** `http`, `graphql`, `ws` or `rpc`. */
  readonly transport: string;
  /** Null for a request that was answered 503, since nothing could be decided. */
  readonly outcome: Outcome | null;
  /** Names of the limits that it is about: those that denied, would have denied or were blocked; else all. */
  readonly limits: readonly string[];
  /** Of the limit that binds: whose bucket it is, such as `ip` or `user`; null where none binds. */
  readonly identityKind: string | null;
  /** Milliseconds after which the same request passes; 0 when it did, null when no wait helps. */
  readonly waitMs: number | null;
}

/** Calls to the store, or to a node of a Cluster, stop, are tried, or go on. */
export interface BreakerEvent {
  /** The node, as `host:port`; empty for a store that fails as a whole. */
  readonly shard: string;
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
  /** A request passed its limits. */
  readonly allowed: RequestEvent;
  /** A request was turned away. */
  readonly denied: RequestEvent;
  /** A limit that only reports would have turned a request away. */
  readonly 'shadow-denied': RequestEvent;
  /** A denial has started a block. */
  readonly blocked: RequestEvent;
  /** A request was decided without the store, or refused for want of it. */
  readonly degraded: RequestEvent;
  readonly breaker: BreakerEvent;
  readonly recovered: RecoveredEvent;
}

/** The name of an event. */
export type RateLimitEventName = keyof RateLimitEventMap;

/** Is told of events of one name; what it gives is left alone, but a promise that is rejected is logged. */
export type RateLimitEventHandler<Name extends RateLimitEventName> = (
  event: RateLimitEventMap[Name],
) => unknown;

/** How an iterator over events is to work. */
export interface EventStreamOptions {
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Events that wait for a slow reader; beyond them the oldest are dropped. 1 or more, default 1,000. */
  readonly maxBuffered?: number | undefined;
}

export const EVENT_NAMES: readonly RateLimitEventName[] = [
  'allowed',
  'denied',
  'shadow-denied',
  'blocked',
  'degraded',
  'breaker',
  'recovered',
];

/** What is called once, in place of a handler. */
interface Once<Name extends RateLimitEventName> {
  handler?: RateLimitEventHandler<Name>;
}

/** Everything that hears events of one name. */
class Topic {
  handlers: readonly RateLimitEventHandler<never>[] = [];
  /** Of this process: whatever subscribes to `nestjs-ratelimit:<name>`. */
  readonly channel;

  constructor(name: RateLimitEventName) {
    this.channel = channel(`nestjs-ratelimit:${name}`);
  }
}

/**
 * Tells what becomes of requests and of the store. Handlers are called at once, one after the other; what one
 * throws, now or later, is logged, and neither the request nor the other handlers feel it. The same events are
 * published on the diagnostics channels `nestjs-ratelimit:<name>` of Node. What nobody hears costs nothing.
 *
 * @example
 * @Injectable()
 * class Pager {
 *   constructor(events: RateLimitEvents) {
 *     events.on('breaker', ({ state, cause }) => { if (state === 'open') console.error(cause); });
 *   }
 * }
 */
export class RateLimitEvents {
  readonly #topics = new Map(EVENT_NAMES.map((name) => [name, new Topic(name)]));

  /** @param onHandlerError Hears of what handlers throw. */
  constructor(readonly onHandlerError: (name: RateLimitEventName, error: unknown) => void) {}

  /** Calls `handler` at each event of a name. */
  on<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    const topic = this.#of(name);
    topic.handlers = [...topic.handlers, handler];
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
    const topic = this.#of(name);
    topic.handlers = topic.handlers.filter(
      (one) => one !== handler && (one as Once<Name>).handler !== handler,
    );
    return this;
  }

  /**
   * The events of a name, one after the other, from now on.
   *
   * @example
   * for await (const { route, limits } of events.stream('denied', { signal })) console.log(route, limits);
   */
  async *stream<Name extends RateLimitEventName>(
    name: Name,
    { signal, maxBuffered = 1_000 }: EventStreamOptions = {},
  ): AsyncGenerator<RateLimitEventMap[Name], void, undefined> {
    const waiting: RateLimitEventMap[Name][] = [];
    let wake = (): void => undefined;
    const hear = (event: RateLimitEventMap[Name]): void => {
      if (waiting.length >= maxBuffered) waiting.shift();
      waiting.push(event);
      wake();
    };
    const end = (): void => wake();
    this.on(name, hear);
    signal?.addEventListener('abort', end);
    try {
      while (!signal?.aborted) {
        const next = waiting.shift();
        if (next !== undefined) yield next;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      this.off(name, hear);
      signal?.removeEventListener('abort', end);
    }
  }

  /** @internal Whether anybody hears of a name, so that an event is worth making. */
  hasListeners(name: RateLimitEventName): boolean {
    const { handlers, channel } = this.#of(name);
    return handlers.length > 0 || channel.hasSubscribers;
  }

  /** @internal */
  emit<Name extends RateLimitEventName>(name: Name, event: RateLimitEventMap[Name]): void {
    const { handlers, channel } = this.#of(name);
    for (const handler of handlers as readonly RateLimitEventHandler<Name>[]) {
      attempt(
        () => handler(event),
        (error) => this.onHandlerError(name, error),
      );
    }
    if (channel.hasSubscribers) channel.publish(event);
  }

  #of(name: RateLimitEventName): Topic {
    const topic = this.#topics.get(name);
    if (topic !== undefined) return topic;
    throw new TypeError(
      `There is no event ${JSON.stringify(name)}. The events are ${EVENT_NAMES.join(', ')}.`,
    );
  }
}
