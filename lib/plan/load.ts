import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { brand } from '../core/brand.js';
import { type Clock, systemClock } from '../core/clock.js';
import { configError, describeValue } from '../core/errors.js';
import type { RateInput } from '../core/rate.js';
import { isObject } from '../core/validate.js';

/** How busy this process is. */
export type LoadLevel = 'normal' | 'elevated' | 'critical';

export const LOAD_LEVELS: readonly LoadLevel[] = ['normal', 'elevated', 'critical'];

/** What was measured since the last look. */
export interface LoadSample {
  /** The share of time in which the event loop was at work, from 0 to 1. */
  readonly utilization: number;
  /** By how many milliseconds the event loop was late, in 99 of 100 turns no more. */
  readonly delayMs: number;
}

/** From where on a level begins: when either value reaches it. */
export interface LoadThresholds {
  /** Default `{ utilization: 0.7, delayMs: 70 }`. */
  readonly elevated?: Partial<LoadSample> | undefined;
  /** Default `{ utilization: 0.9, delayMs: 250 }`. */
  readonly critical?: Partial<LoadSample> | undefined;
}

/** How load is told. */
export interface LoadOptions {
  /** From where the load is elevated, and critical. Default: 70 % of the time or 70 ms late, 90 % or 250 ms. */
  readonly thresholds?: LoadThresholds | undefined;
  /** Measures the load. Default: the event loop of this process. */
  readonly measure?: (() => LoadSample) | undefined;
  /** For tests. Default: the time of this process. */
  readonly clock?: Clock | undefined;
}

const SAMPLE_EVERY_MS = 500;
/** How much of what is older counts, for each half second: about the last three seconds do. */
const SMOOTHING = 0.7;
/** A level ends once the load is this share of what began it, so that it does not flicker. */
const HYSTERESIS = 0.8;

const DEFAULTS: Readonly<Record<'elevated' | 'critical', LoadSample>> = {
  elevated: { utilization: 0.7, delayMs: 70 },
  critical: { utilization: 0.9, delayMs: 250 },
};

/** Measures the event loop, in whatever time has passed since the last call. */
function eventLoopSampler(): () => LoadSample {
  // Its timer keeps no process alive.
  const histogram = monitorEventLoopDelay({ resolution: 20 });
  histogram.enable();
  let before: EventLoopUtilization = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    // What it measures is a timer, which is late by the time it waits.
    const delayMs = Math.max(0, histogram.percentile(99) / 1e6 - 20);
    histogram.reset();
    return { utilization, delayMs: Number.isFinite(delayMs) ? delayMs : 0 };
  };
}

function thresholdsOf(given: LoadThresholds = {}): typeof DEFAULTS {
  const thresholds = {
    elevated: { ...DEFAULTS.elevated, ...given.elevated },
    critical: { ...DEFAULTS.critical, ...given.critical },
  };
  for (const value of ['utilization', 'delayMs'] as const) {
    if (thresholds.elevated[value] > 0 && thresholds.elevated[value] <= thresholds.critical[value]) continue;
    throw configError(
      'bad-rate',
      `The load cannot be elevated from ${thresholds.elevated[value]} and critical from ${thresholds.critical[value]}.`,
      `Give thresholds above 0, the one for elevated no higher than the one for critical.`,
    );
  }
  return thresholds;
}

/** Tells the level of the load, looked at twice a second at most, and only when somebody asks. */
export class LoadMeter {
  readonly #thresholds: typeof DEFAULTS;
  readonly #clock: Clock;
  #measure: (() => LoadSample) | undefined;
  #smooth: LoadSample | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #level: LoadLevel = 'normal';

  /** @throws RateLimitConfigError `bad-rate` for thresholds out of order. */
  constructor({ thresholds, measure, clock = systemClock }: LoadOptions = {}) {
    this.#thresholds = thresholdsOf(thresholds);
    this.#measure = measure;
    this.#clock = clock;
  }

  level(): LoadLevel {
    const nowMs = this.#clock.now();
    const sinceMs = nowMs - this.#lastMs;
    if (sinceMs >= 0 && sinceMs < SAMPLE_EVERY_MS) return this.#level;
    this.#lastMs = nowMs;
    if (this.#measure === undefined) {
      // What it measures has no length yet, in which the event loop was at work all along.
      this.#measure = eventLoopSampler();
      return this.#level;
    }
    const sample = this.#measure();
    const before = this.#smooth ?? sample;
    // A sample is of all the time since the last one, which may be long.
    const share = 1 - SMOOTHING ** (Math.max(sinceMs, SAMPLE_EVERY_MS) / SAMPLE_EVERY_MS);
    this.#smooth = {
      utilization: before.utilization + share * (sample.utilization - before.utilization),
      delayMs: before.delayMs + share * (sample.delayMs - before.delayMs),
    };
    this.#level = this.#levelOf(this.#smooth);
    return this.#level;
  }

  #levelOf(load: LoadSample): LoadLevel {
    if (this.#reaches(load, 'critical', this.#level === 'critical')) return 'critical';
    return this.#reaches(load, 'elevated', this.#level !== 'normal') ? 'elevated' : 'normal';
  }

  #reaches({ utilization, delayMs }: LoadSample, level: 'elevated' | 'critical', isActive: boolean): boolean {
    const share = isActive ? HYSTERESIS : 1;
    const threshold = this.#thresholds[level];
    return utilization >= share * threshold.utilization || delayMs >= share * threshold.delayMs;
  }
}

/** A rate for each level of load. */
export type LoadRates = Readonly<Record<LoadLevel, RateInput>>;

/** A rate that depends on how busy this process is. Made by {@link byLoad}. */
export class RateByLoad {
  /** @throws RateLimitConfigError `bad-rate` for what are no rates by load. */
  constructor(
    readonly rates: LoadRates,
    /** The level of now. */
    readonly level: () => LoadLevel,
  ) {
    if (isObject(rates)) return;
    throw configError(
      'bad-rate',
      `${describeValue(rates)} stands where the rates by load belong.`,
      `Give a rate for each load: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }).`,
    );
  }
}

brand(RateByLoad, 'RateByLoad');

/** One meter for all that measure alike: a histogram of the event loop is not for nothing. */
const meter = new LoadMeter();

/**
 * A rate by the load of this process. A level begins when the event loop is at work for 70 (90) percent of
 * the time, or late by 70 (250) ms, smoothed over about three seconds, and ends at four fifths of that.
 *
 * @param options Other thresholds, another measure, or a function that tells the level.
 * @throws RateLimitConfigError `bad-rate` for what are no rates by load, and for thresholds out of order; for a
 *   wrong rate at start-up.
 * @example
 * @RateLimit({ rate: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }) })
 */
export function byLoad(rates: LoadRates, options?: LoadOptions | (() => LoadLevel)): RateByLoad {
  if (typeof options === 'function') return new RateByLoad(rates, options);
  const own = options === undefined ? meter : new LoadMeter(options);
  return new RateByLoad(rates, () => own.level());
}
