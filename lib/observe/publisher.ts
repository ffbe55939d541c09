import type { Outcome } from '../core/decision.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import type { StoreEvent } from '../resilience/options.js';

/** The plan of a decided request, as far as subscribers read it. */
export interface PublishedPlan {
  /** `Class.method`. */
  readonly route: string;
  readonly hasShadows: boolean;
}

/** The caller of a decided request, as far as subscribers read it. */
export interface PublishedCaller {
  /** In canonical form; null where the transport knows no address. */
  readonly address: string | null;
  /** `http`, `graphql`, `ws` or `rpc`. */
  readonly transport: string;
}

/** A request of a route under limits: published once, when its limits have been decided. */
export interface RequestDecided {
  readonly kind: 'request';
  readonly plan: PublishedPlan;
  readonly caller: PublishedCaller;
  /** Null where the limits could not be decided. */
  readonly outcome: Outcome | null;
  /** The error that kept the limits from being decided. */
  readonly error: unknown;
  /** False if the call was rejected before its last phase: by a limit, or by another guard. */
  readonly isComplete: boolean;
  readonly durationMs: number;
}

/** Everything that the library publishes. */
export type Published = RequestDecided | StoreEvent;

/** Called synchronously with each event, while the request is waiting. */
export type Subscriber = (event: Published) => void;

/** Publishes one event per request and store event to the subscribers. Exempt requests publish nothing. */
export class Publisher {
  readonly #subscribers: Subscriber[] = [];
  /** True if a subscriber reads `durationMs`. Otherwise no clock is read. */
  measures = false;

  /** @param report Where errors of subscribers go: they must not affect requests. */
  constructor(readonly report: ErrorReporter) {}

  subscribe(subscriber: Subscriber, { measures = false } = {}): void {
    this.#subscribers.push(subscriber);
    this.measures ||= measures;
  }

  publish(event: Published): void {
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(event);
      } catch (error) {
        this.report('events', 'A subscriber of the library failed, such as a logger.', error);
      }
    }
  }
}
