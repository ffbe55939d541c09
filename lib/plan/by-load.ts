import { brand } from '../core/brand.js';
import { mistake } from '../core/errors.js';
import type { RateInput } from '../core/rate.js';
import { shown } from '../core/shown.js';
import { type LoadLevel, LoadMeter, type LoadOptions } from './load.js';
import { isObject } from './option-rules.js';

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
    throw mistake(
      'bad-rate',
      `${shown(rates)} stands where the rates by load belong.`,
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
