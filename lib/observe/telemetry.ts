import { attempt } from '../core/awaitable.js';
import type { Outcome } from '../core/decision.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import type { RoutePlan } from '../nest/startup/plan-registry.js';
import type { ResilientStore } from '../resilience/resilient-store.js';
import { MemoryStore } from '../store/memory/memory-store.js';

/** Attributes of a measurement. */
export type MetricAttributes = Readonly<Record<string, string>>;

/** Where a callback puts what it has observed. */
export interface MetricResult {
  observe(value: number, attributes?: MetricAttributes): void;
}

/** An instrument that is asked for its values when they are collected. */
export interface ObservableMetric {
  addCallback(callback: (result: MetricResult) => void): void;
  removeCallback(callback: (result: MetricResult) => void): void;
}

/** What is said of an instrument when it is made. */
export interface MetricDescription {
  readonly description: string;
  readonly unit: string;
  readonly advice?: { readonly explicitBucketBoundaries?: number[] };
}

/** A `Meter` of `@opentelemetry/api`, as far as it is used. */
export interface MeterLike {
  createHistogram(
    name: string,
    options: MetricDescription,
  ): { record(value: number, attributes?: MetricAttributes): void };
  createObservableCounter(name: string, options: MetricDescription): ObservableMetric;
  createObservableGauge(name: string, options: MetricDescription): ObservableMetric;
}

/** What became of a decision. */
type Result = 'allowed' | 'denied' | 'shadow_denied' | 'unavailable';
const RESULTS = 4;

/** As many as an SDK keeps of one instrument where it is not told otherwise; what comes after them is one series. */
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

/** What is said of how long decisions took. */
interface Timings {
  readonly allowed: MetricAttributes;
  readonly denied: MetricAttributes;
}

const timingsOf = (store: string): Timings => ({
  allowed: { 'rate_limit.store': store, 'rate_limit.outcome': 'allowed' },
  denied: { 'rate_limit.store': store, 'rate_limit.outcome': 'denied' },
});

const STATES = ['closed', 'half-open', 'open'] as const;

function nameOfStore(store: object): string {
  if (store instanceof MemoryStore) return 'memory';
  return store.constructor.name === 'RedisStore' ? 'redis' : OTHER;
}

/**
 * Measures for OpenTelemetry. Decisions are counted here and collected when a reader asks for them; only their
 * duration is handed on at each request. Whatever a meter throws is reported, and felt by nobody.
 */
export class Telemetry {
  readonly #byPlan = new Map<RoutePlan, Map<string, Partial<Record<Result, Series>>>>();
  readonly #series = new Map<string, Series>();
  readonly #duration;
  readonly #storeTimings: Timings;
  readonly #localTimings = timingsOf('local');
  readonly #states: (() => void)[] = [];
  readonly #storeName: string;

  constructor(
    meter: MeterLike,
    readonly store: ResilientStore,
    readonly report: ErrorReporter,
  ) {
    this.#storeName = nameOfStore(store.store);
    this.#storeTimings = timingsOf(this.#storeName);
    this.#duration = meter.createHistogram('rate_limit.decision.duration', {
      description: 'How long the limits of a request took to be decided.',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BOUNDARIES_S },
    });
    const decisions = meter.createObservableCounter('rate_limit.decisions', {
      description: 'Decisions of limits on requests.',
      unit: '{decision}',
    });
    const buckets = meter.createObservableGauge('rate_limit.buckets', {
      description: 'Buckets that this process holds.',
      unit: '{bucket}',
    });
    const breakers = meter.createObservableGauge('rate_limit.breaker.state', {
      description: '1 for the state that a circuit breaker is in, 0 for the others.',
      unit: '1',
    });
    decisions.addCallback((result) => {
      for (const { count, attributes } of this.#series.values()) result.observe(count, attributes);
    });
    this.#observeState(buckets, (result) => this.#observeBuckets(result));
    this.#observeState(breakers, (result) => this.#observeBreakers(result));
  }

  /** Counts the decisions on a request. */
  decided(plan: RoutePlan, { decisions }: Outcome): void {
    for (const { name, allowed, charge } of decisions) {
      this.#count(plan, name, allowed ? 'allowed' : charge.shadow ? 'shadow_denied' : 'denied');
    }
  }

  /** Counts a request that was refused for want of the store, under the limits that wait for it. */
  refused(plan: RoutePlan, limits: readonly string[]): void {
    for (const name of limits) this.#count(plan, name, 'unavailable');
  }

  /** Notes how long a decision took that began at `startMs` of `performance.now()`. */
  timed(startMs: number, { decisions, degraded, allowed }: Outcome): void {
    // Nobody was asked.
    if (decisions.length === 0) return;
    const timings = degraded ? this.#localTimings : this.#storeTimings;
    this.#record(startMs, allowed ? timings.allowed : timings.denied);
  }

  /** Notes how long it took until a decision failed. */
  failed(startMs: number, error: unknown): void {
    const type = error instanceof Error ? error.name : 'Error';
    this.#record(startMs, {
      'rate_limit.store': this.#storeName,
      'rate_limit.outcome': 'unavailable',
      'error.type': type,
    });
  }

  /** Is asked for no state any more. What was decided stays, for a reader that collects once more at the end. */
  close(): void {
    for (const forget of this.#states.splice(0)) forget();
  }

  #record(startMs: number, attributes: MetricAttributes): void {
    const seconds = (performance.now() - startMs) / 1_000;
    attempt(
      () => this.#duration.record(seconds, attributes),
      (error) => this.report('meter', 'A measurement could not be handed on.', error),
    );
  }

  #count(plan: RoutePlan, limit: string, result: Result): void {
    let ofPlan = this.#byPlan.get(plan);
    if (ofPlan === undefined) {
      ofPlan = new Map();
      this.#byPlan.set(plan, ofPlan);
    }
    let ofLimit = ofPlan.get(limit);
    if (ofLimit === undefined) {
      ofLimit = {};
      ofPlan.set(limit, ofLimit);
    }
    ofLimit[result] ??= this.#seriesOf(plan.route, limit, result);
    ofLimit[result].count++;
  }

  /** One for each set of attributes, whatever classes have the same name. */
  #seriesOf(route: string, limit: string, result: Result): Series {
    const key = `${result} ${route} ${limit}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    // Room is left for the series that all others share.
    if (this.#series.size >= MAX_SERIES - RESULTS && route !== OTHER) {
      return this.#seriesOf(OTHER, OTHER, result);
    }
    const attributes = {
      'rate_limit.name': limit,
      'code.function.name': route,
      'rate_limit.outcome': result,
    };
    const series = { attributes, count: 0 };
    this.#series.set(key, series);
    return series;
  }

  #observeState(metric: ObservableMetric, callback: (result: MetricResult) => void): void {
    metric.addCallback(callback);
    this.#states.push(() => metric.removeCallback(callback));
  }

  #observeBuckets(result: MetricResult): void {
    const { store } = this.store;
    if (store instanceof MemoryStore) result.observe(store.size, { 'rate_limit.store': 'memory' });
    else result.observe(this.store.localBucketCount, { 'rate_limit.store': 'local' });
  }

  #observeBreakers(result: MetricResult): void {
    for (const { shard, breaker } of this.store.health().shards) {
      for (const state of STATES) {
        result.observe(state === breaker ? 1 : 0, {
          'rate_limit.store': this.#storeName,
          'rate_limit.store.part': shard,
          'rate_limit.breaker.state': state,
        });
      }
    }
  }
}

/** Measures on a meter; null, and reported, where that has no instruments. */
export function createTelemetry(
  meter: MeterLike,
  store: ResilientStore,
  report: ErrorReporter,
): Telemetry | null {
  try {
    return new Telemetry(meter, store, report);
  } catch (error) {
    report('meter', 'The meter made no instruments, so nothing is measured.', error);
    return null;
  }
}
