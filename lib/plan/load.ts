import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { brand } from '../core/brand.js';
import { type Clock, systemClock } from '../core/clock.js';
import { configError, describeValue } from '../core/errors.js';
import type { RateInput } from '../core/rate.js';
import { isObject } from '../core/validate.js';

/** The load of this process. */
export type LoadLevel = 'normal' | 'elevated' | 'critical';

export const LOAD_LEVELS: readonly LoadLevel[] = ['normal', 'elevated', 'critical'];

/** A measurement of the load since the last one. */
export interface LoadSample {
  /** The share of time in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** The delay of the event loop in milliseconds, 99th percentile. */
  readonly delayMs: number;
}

/** The thresholds of the levels: a level begins when either value reaches its threshold. */
export interface LoadThresholds {
  /** Default `{ utilization: 0.7, delayMs: 70 }`. */
  readonly elevated?: Partial<LoadSample> | undefined;
  /** Default `{ utilization: 0.9, delayMs: 250 }`. */
  readonly critical?: Partial<LoadSample> | undefined;
}

/** Options of the load measurement. */
export interface LoadOptions {
  /** Default: elevated from 70 % busy or 70 ms of delay, critical from 90 % or 250 ms. */
  readonly thresholds?: LoadThresholds | undefined;
  /** Measures the load. Default: the event loop of this process. */
  readonly measure?: (() => LoadSample) | undefined;
  /** For tests. Default: the time of this process. */
  readonly clock?: Clock | undefined;
}

const SAMPLE_EVERY_MS = 500;
/** The weight of older samples for each half second: about the last three seconds count. */
const SMOOTHING = 0.7;
/** A level ends once the load falls to this share of its threshold, so that it does not flicker. */
const HYSTERESIS = 0.8;

const DEFAULTS: Readonly<Record<'elevated' | 'critical', LoadSample>> = {
  elevated: { utilization: 0.7, delayMs: 70 },
  critical: { utilization: 0.9, delayMs: 250 },
};

/** Returns a function that measures the event loop since its last call. */
function eventLoopSampler(): () => LoadSample {
  // Its timer does not keep the process alive.
  const histogram = monitorEventLoopDelay({ resolution: 20 });
  histogram.enable();
  let before: EventLoopUtilization = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    // It measures a timer of 20 ms, including the 20 ms.
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

/** Returns the level of the load. Measures at most twice a second, and only when somebody asks. */
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
      // The first measurement would cover no time at all.
      this.#measure = eventLoopSampler();
      return this.#level;
    }
    const sample = this.#measure();
    const before = this.#smooth ?? sample;
    // A sample covers all the time since the last one, which may be long.
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

/** A rate that depends on the load of this process. Created by {@link byLoad}. */
export class RateByLoad {
  /** @throws RateLimitConfigError `bad-rate` for anything but rates by load. */
  constructor(
    readonly rates: LoadRates,
    /** Returns the current level. */
    readonly level: () => LoadLevel,
  ) {
    if (isObject(rates)) return;
    throw configError(
      'bad-rate',
      `${describeValue(rates)} is not a set of rates by load.`,
      `Give a rate for each load: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }).`,
    );
  }
}

brand(RateByLoad, 'RateByLoad');

/** Shared by all rates with default options: a histogram of the event loop has its price. */
const meter = new LoadMeter();

/**
 * Returns a rate that depends on the load of this process. The load is elevated (critical) when the event loop is busy
 * for 70 (90) percent of the time, or 70 (250) ms late, smoothed over about three seconds. A level ends at four fifths of
 * that.
 *
 * @param options Other thresholds, another measurement, or a function that returns the level.
 * @throws RateLimitConfigError `bad-rate` for anything but rates by load, and for thresholds out of order; for an
 *   invalid rate at start-up.
 * @example
 * @RateLimit({ rate: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }) })
 */
export function byLoad(rates: LoadRates, options?: LoadOptions | (() => LoadLevel)): RateByLoad {
  if (typeof options === 'function') return new RateByLoad(rates, options);
  const own = options === undefined ? meter : new LoadMeter(options);
  return new RateByLoad(rates, () => own.level());
}
