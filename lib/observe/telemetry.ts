import type { Outcome } from '../core/decision.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import { type GuardedStore, localBuckets, storeHealth } from '../resilience/guard-store.js';
import { StoreUnavailableError } from '../store/store.js';
import type { Published, RequestDecided } from './publisher.js';

/** Attributes of a measurement. */
export type MetricAttributes = Readonly<Record<string, string>>;

/** Receives the values of an observable instrument. */
export interface MetricResult {
  observe(value: number, attributes?: MetricAttributes): void;
}

/** An instrument whose callbacks are called when its values are collected. */
export interface ObservableMetric {
  addCallback(callback: (result: MetricResult) => void): void;
  removeCallback(callback: (result: MetricResult) => void): void;
}

/** Options of an instrument. */
export interface MetricDescription {
  readonly description: string;
  readonly unit: string;
  readonly advice?: { readonly explicitBucketBoundaries?: number[] };
}

/** The part of a `Meter` of `@opentelemetry/api` that is used. */
export interface MeterLike {
  createHistogram(
    name: string,
    options: MetricDescription,
  ): { record(value: number, attributes?: MetricAttributes): void };
  createObservableCounter(name: string, options: MetricDescription): ObservableMetric;
  createObservableGauge(name: string, options: MetricDescription): ObservableMetric;
}

/** Result of a decision. */
type Result = 'allowed' | 'denied' | 'shadow_denied' | 'unavailable';
const RESULTS = 4;

/** The default limit of an SDK for one instrument. Everything beyond it shares one series. */
const MAX_SERIES = 2_000;
const OTHER = 'other';

/** From ten microseconds, in memory, to the longest that a store may take. */
const DURATION_BOUNDARIES_S = [
  0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
];

interface Series {
  readonly attributes: MetricAttributes;
  count: number;
}

const BREAKER_STATES = ['closed', 'half-open', 'open'] as const;

/**
 * Measures for OpenTelemetry. Decisions are counted here and collected when a reader asks for them. Only durations are
 * passed to the meter with each request. Errors of a meter are reported and do not affect requests.
 */
export class Telemetry {
  readonly #series = new Map<string, Series>();
  readonly #duration;
  readonly #buckets;
  readonly #breakers;

  constructor(
    meter: MeterLike,
    readonly store: GuardedStore,
    readonly report: ErrorReporter,
  ) {
    this.#duration = meter.createHistogram('rate_limit.decision.duration', {
      description: 'Time to decide the limits of a request.',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BOUNDARIES_S },
    });
    const decisions = meter.createObservableCounter('rate_limit.decisions', {
      description: 'Decisions of limits on requests.',
      unit: '{decision}',
    });
    this.#buckets = meter.createObservableGauge('rate_limit.buckets', {
      description: 'Buckets in the memory of this process.',
      unit: '{bucket}',
    });
    this.#breakers = meter.createObservableGauge('rate_limit.breaker.state', {
      description: '1 for the current state of a circuit breaker, 0 for the other states.',
      unit: '1',
    });
    decisions.addCallback((result) => {
      for (const { count, attributes } of this.#series.values()) result.observe(count, attributes);
    });
    this.#buckets.addCallback(this.#observeBuckets);
    this.#breakers.addCallback(this.#observeBreakers);
  }

  readonly onPublished = (event: Published): void => {
    if (event.kind !== 'request') return;
    if (event.outcome === null) this.#onFailure(event);
    else this.#onOutcome(event, event.outcome);
  };

  /** Stops observing the store. Decisions stay readable, for a reader that collects once more at the end. */
  close(): void {
    this.#buckets.removeCallback(this.#observeBuckets);
    this.#breakers.removeCallback(this.#observeBreakers);
  }

  #onOutcome({ plan, durationMs }: RequestDecided, { decisions, degraded, allowed }: Outcome): void {
    // No limit applied, so no store was asked.
    if (decisions.length === 0) return;
    for (const { name, allowed, charge } of decisions) {
      this.#count(plan.route, name, allowed ? 'allowed' : charge.shadow ? 'shadow_denied' : 'denied');
    }
    this.#record(durationMs, {
      'rate_limit.store': degraded ? 'local' : this.store.name,
      'rate_limit.outcome': allowed ? 'allowed' : 'denied',
    });
  }

  #onFailure({ plan, error, durationMs }: RequestDecided): void {
    if (error instanceof StoreUnavailableError) {
      for (const name of error.limits) this.#count(plan.route, name, 'unavailable');
    }
    this.#record(durationMs, {
      'rate_limit.store': this.store.name,
      'rate_limit.outcome': 'unavailable',
      'error.type': error instanceof Error ? error.name : 'Error',
    });
  }

  #record(durationMs: number, attributes: MetricAttributes): void {
    try {
      this.#duration.record(durationMs / 1_000, attributes);
    } catch (error) {
      this.report('meter', 'A measurement could not be recorded.', error);
    }
  }

  /** Plans of classes with the same name share their series. */
  #count(route: string, limit: string, result: Result): void {
    const key = `${result} ${route} ${limit}`;
    const existing = this.#series.get(key);
    if (existing !== undefined) {
      existing.count++;
      return;
    }
    // Leaves room for the series that all others share.
    if (this.#series.size >= MAX_SERIES - RESULTS && route !== OTHER) {
      this.#count(OTHER, OTHER, result);
      return;
    }
    const attributes = {
      'rate_limit.name': limit,
      'code.function.name': route,
      'rate_limit.outcome': result,
    };
    this.#series.set(key, { attributes, count: 1 });
  }

  readonly #observeBuckets = (result: MetricResult): void => {
    const { kind, count } = localBuckets(this.store);
    result.observe(count, { 'rate_limit.store': kind });
  };

  readonly #observeBreakers = (result: MetricResult): void => {
    for (const { shard, breaker } of storeHealth(this.store).shards) {
      for (const state of BREAKER_STATES) {
        result.observe(state === breaker ? 1 : 0, {
          'rate_limit.store': this.store.name,
          'rate_limit.store.part': shard,
          'rate_limit.breaker.state': state,
        });
      }
    }
  };
}

/** Creates the instruments; returns null and reports the error if the meter cannot. */
export function createTelemetry(
  meter: MeterLike,
  store: GuardedStore,
  report: ErrorReporter,
): Telemetry | null {
  try {
    return new Telemetry(meter, store, report);
  } catch (error) {
    report('meter', 'The meter failed to create instruments, so nothing is measured.', error);
    return null;
  }
}
