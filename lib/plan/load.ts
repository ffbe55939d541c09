import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { brand } from '../core/brand.js';
import { type Clock, steadyClock } from '../core/clock.js';
import { assertConfig, describeValue } from '../core/errors.js';
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
  const elevated = { ...DEFAULTS.elevated, ...given.elevated };
  const critical = { ...DEFAULTS.critical, ...given.critical };
  for (const value of ['utilization', 'delayMs'] as const) {
    assertConfig(
      elevated[value] > 0 && elevated[value] <= critical[value],
      'bad-rate',
      `The load cannot be elevated from ${elevated[value]} and critical from ${critical[value]}.`,
      `Give thresholds above 0, the one for elevated no higher than the one for critical.`,
    );
  }
  return { elevated, critical };
}

/**
 * Returns a function that returns the level of the load. It measures at most twice a second, and only when
 * somebody asks.
 *
 * @throws RateLimitConfigError `bad-rate` for thresholds out of order.
 */
export function loadMeter({
  thresholds: given,
  measure,
  clock = steadyClock,
}: LoadOptions = {}): () => LoadLevel {
  const thresholds = thresholdsOf(given);
  let sampler = measure;
  let smooth: LoadSample | undefined;
  let lastMs = Number.NEGATIVE_INFINITY;
  let current: LoadLevel = 'normal';

  const reaches = (
    { utilization, delayMs }: LoadSample,
    level: 'elevated' | 'critical',
    isActive: boolean,
  ) => {
    const share = isActive ? HYSTERESIS : 1;
    const threshold = thresholds[level];
    return utilization >= share * threshold.utilization || delayMs >= share * threshold.delayMs;
  };

  return () => {
    const nowMs = clock.now();
    const sinceMs = nowMs - lastMs;
    if (sinceMs >= 0 && sinceMs < SAMPLE_EVERY_MS) return current;
    lastMs = nowMs;
    if (sampler === undefined) {
      // The first measurement would cover no time at all.
      sampler = eventLoopSampler();
      return current;
    }
    const sample = sampler();
    const before = smooth ?? sample;
    // A sample covers all the time since the last one, which may be long.
    const share = 1 - SMOOTHING ** (Math.max(sinceMs, SAMPLE_EVERY_MS) / SAMPLE_EVERY_MS);
    smooth = {
      utilization: before.utilization + share * (sample.utilization - before.utilization),
      delayMs: before.delayMs + share * (sample.delayMs - before.delayMs),
    };
    if (reaches(smooth, 'critical', current === 'critical')) current = 'critical';
    else current = reaches(smooth, 'elevated', current !== 'normal') ? 'elevated' : 'normal';
    return current;
  };
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
    assertConfig(
      isObject(rates),
      'bad-rate',
      `${describeValue(rates)} is not a set of rates by load.`,
      `Give a rate for each load: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }).`,
    );
  }
}

brand(RateByLoad, 'RateByLoad');

/** Shared by all rates with default options: a histogram of the event loop has its price. */
const level = loadMeter();

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
  return new RateByLoad(rates, options === undefined ? level : loadMeter(options));
}
