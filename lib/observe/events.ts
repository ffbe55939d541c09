import { type Channel, channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { isPromise } from '../core/awaitable.js';
import type { Outcome } from '../core/decision.js';
import type { BreakerState } from '../resilience/circuit-breaker.js';

/** A request of a route under limits, and its outcome. */
export interface RequestEvent {
  /** `Class.method`. */
  readonly route: string;
  /** `http`, `graphql`, `ws` or `rpc`. */
  readonly transport: string;
  /** Null for a request that got a 503 response because its limits could not be decided. */
  readonly outcome: Outcome | null;
  /** Names of the limits that denied, would have denied, or started a block; for other events the names of all limits. */
  readonly limits: readonly string[];
  /** Kind of the identity under the limit that decided, such as `ip` or `user`; null where none decided. */
  readonly identityKind: string | null;
  /** Milliseconds after which the same request passes; 0 when it passed, null when no wait helps. */
  readonly waitMs: number | null;
}

/** A circuit breaker of the store, or of a node of a Cluster, changed its state. */
export interface BreakerEvent {
  /** The node, as `host:port`; empty for a store that fails as a whole. */
  readonly shard: string;
  readonly state: BreakerState;
  /** The last failure; undefined once the shard works again. */
  readonly cause: unknown;
}

/** The whole store decides again. */
export interface RecoveredEvent {
  /** Milliseconds since calls to it stopped. */
  readonly afterMs: number;
  /** Requests that were decided without it, or rejected because of it, in that time. */
  readonly degraded: number;
}

/** The events by name. */
export interface RateLimitEventMap {
  /** A request passed its limits. */
  readonly allowed: RequestEvent;
  /** A request was denied. */
  readonly denied: RequestEvent;
  /** A shadow limit would have denied a request. */
  readonly 'shadow-denied': RequestEvent;
  /** A denial started a block. */
  readonly blocked: RequestEvent;
  /** A request was decided without the store, or rejected because of it. */
  readonly degraded: RequestEvent;
  readonly breaker: BreakerEvent;
  readonly recovered: RecoveredEvent;
}

/** The name of an event. */
export type RateLimitEventName = keyof RateLimitEventMap;

/** Handles events of one name. Its result is ignored, but a rejected promise is logged. */
export type RateLimitEventHandler<Name extends RateLimitEventName> = (
  event: RateLimitEventMap[Name],
) => unknown;

/** Options of {@link RateLimitEvents.stream}. */
export interface EventStreamOptions {
  /** Ends the stream. */
  readonly signal?: AbortSignal | undefined;
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

/** Events that a stream keeps for a slow reader; beyond them the oldest are dropped. */
const MAX_BUFFERED = 1_000;

/** The diagnostics channels `nestjs-ratelimit:<name>` of this process. */
const CHANNELS = new Map(EVENT_NAMES.map((name) => [name, channel(`nestjs-ratelimit:${name}`)]));

function channelOf(name: RateLimitEventName): Channel {
  const found = CHANNELS.get(name);
  if (found !== undefined) return found;
  throw new TypeError(`There is no event ${JSON.stringify(name)}. The events are ${EVENT_NAMES.join(', ')}.`);
}

/**
 * Emits events about requests and the store. Handlers are called immediately, in the order of their registration. An
 * error of a handler, thrown or rejected, is logged and affects neither the request nor the other handlers. The same
 * events are published on the diagnostics channels `nestjs-ratelimit:<name>` of Node. Events without listeners cost
 * nothing.
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
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  /** @param onHandlerError Called with the errors of handlers. */
  constructor(readonly onHandlerError: (name: RateLimitEventName, error: unknown) => void) {}

  /** Calls `handler` with each event of a name. */
  on<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    channelOf(name);
    this.#emitter.on(name, handler);
    return this;
  }

  /** Calls `handler` with the next event of a name only. */
  once<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    channelOf(name);
    this.#emitter.once(name, handler);
    return this;
  }

  /** Removes `handler`. */
  off<Name extends RateLimitEventName>(name: Name, handler: RateLimitEventHandler<Name>): this {
    channelOf(name);
    // `EventEmitter.off` removes one registration at a time.
    while (this.#emitter.listenerCount(name, handler) > 0) this.#emitter.off(name, handler);
    return this;
  }

  /**
   * Yields the events of a name from now on.
   *
   * @example
   * for await (const { route, limits } of events.stream('denied', { signal })) console.log(route, limits);
   */
  async *stream<Name extends RateLimitEventName>(
    name: Name,
    { signal }: EventStreamOptions = {},
  ): AsyncGenerator<RateLimitEventMap[Name], void, undefined> {
    const buffer: RateLimitEventMap[Name][] = [];
    let wake = (): void => undefined;
    const push = (event: RateLimitEventMap[Name]): void => {
      if (buffer.length >= MAX_BUFFERED) buffer.shift();
      buffer.push(event);
      wake();
    };
    const onAbort = (): void => wake();
    this.on(name, push);
    signal?.addEventListener('abort', onAbort);
    try {
      while (!signal?.aborted) {
        const next = buffer.shift();
        if (next !== undefined) yield next;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      this.off(name, push);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** @internal Lets callers make an event only if it has listeners. */
  hasListeners(name: RateLimitEventName): boolean {
    return this.#emitter.listenerCount(name) > 0 || channelOf(name).hasSubscribers;
  }

  /** @internal */
  emit<Name extends RateLimitEventName>(name: Name, event: RateLimitEventMap[Name]): void {
    const onError = (error: unknown): void => this.onHandlerError(name, error);
    // Not `EventEmitter.emit`, where a handler that throws keeps the event from the others.
    for (const handler of this.#emitter.rawListeners(name)) {
      try {
        const result: unknown = handler(event);
        if (isPromise(result)) Promise.resolve(result).catch(onError);
      } catch (error) {
        onError(error);
      }
    }
    const channel = channelOf(name);
    if (channel.hasSubscribers) channel.publish(event);
  }
}
