import {
  type Duration,
  parseDuration,
  requireDurationMs,
  UNIT_NAMES,
  UNITS_MS,
  type Unit,
} from './duration.js';
import { assertConfig, configError, describeValue, ErrorCollector } from './errors.js';

/**
 * A rate as text: `'<n>/<unit>'` or `'<n>/<k><unit>'`, so `'5/15min'` is five in fifteen minutes.
 * Other text does not compile; see {@link rate} for text known only at run time.
 */
export type RateText = `${bigint}/${Unit}` | `${bigint}/${Duration}`;

/** A parsed rate: `limit` units per `windowMs` milliseconds. */
export interface Rate {
  /** Units per window: a whole number from 0 (which always denies) to 999,999,999,999,999. */
  readonly limit: number;
  /** Length of the window in whole milliseconds, from 1 to ten years. */
  readonly windowMs: number;
  /** Capacity of a token bucket in units, default `limit`. Only for `algorithm: 'token-bucket'`. */
  readonly burst?: number | undefined;
}

/** A rate as an object, with its window as a duration. */
export interface RateObject {
  /** Units per window: a whole number of 0 or more, with up to 15 digits. */
  readonly limit: number;
  /** The length of the window, such as `'15min'`; up to ten years. */
  readonly window: Duration;
  /** Capacity of a token bucket in units, 1 or more. Default: the limit. */
  readonly burst?: number | undefined;
}

/**
 * A fixed rate in any form. `'unlimited'` and `null` both mean that there is no limit and nothing is stored.
 */
export type RateInput = RateText | RateObject | Rate | 'unlimited' | null;

/** The largest limit that the rate-limit headers can carry: an Integer of RFC 9651 has 15 digits. */
const MAX_LIMIT = 999_999_999_999_999;

const RATE = new RegExp(`^(0|[1-9]\\d*)/(0|[1-9]\\d*)?(${UNIT_NAMES.join('|')})$`);

const rateError = (value: unknown, reason: string) =>
  configError(
    'bad-rate',
    `${describeValue(value)} is not a rate${reason}.`,
    `Write '<n>/<unit>' or '<n>/<k><unit>' with whole numbers, such as '100/hour' or '5/15min', or 'unlimited'.`,
  );

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_LIMIT;

// A rate with a word that is not a unit.
const NEAR_MISS = /^\d+\/\d*([a-z]+)$/i;

function parseText(text: string): Rate {
  const match = RATE.exec(text);
  if (match === null) {
    const word = NEAR_MISS.exec(text)?.[1];
    throw rateError(
      text,
      word === undefined ? '' : `: ${describeValue(word)} is not one of the units ${UNIT_NAMES.join(', ')}`,
    );
  }
  const limit = Number(match[1]);
  if (!isCount(limit)) throw rateError(text, ': the limit is too large');
  const count = match[2] === undefined ? 1 : Number(match[2]);
  if (count === 0) throw rateError(text, ': the window is zero');
  return { limit, windowMs: requireDurationMs(count * UNITS_MS[match[3] as Unit], describeValue(text)) };
}

function parseObject(value: RateObject | Rate): Rate {
  if (Array.isArray(value)) throw rateError(value, ': a limit takes one rate');
  if ('ttl' in value)
    throw rateError(value, `: use window instead of ttl, as in { limit: 10, window: '1min' }`);
  if (!('windowMs' in value || 'window' in value)) throw rateError(value, ': it has no window');
  if (!isCount(value.limit)) throw rateError(value, ': the limit must be a whole number, 0 or more');
  const windowMs =
    'windowMs' in value
      ? requireDurationMs(value.windowMs, `A window of ${describeValue(value.windowMs)} ms`)
      : parseDuration(value.window);
  const { limit, burst } = value;
  if (burst === undefined) return { limit, windowMs };
  requireBurst(burst);
  return { limit, windowMs, burst };
}

/** Throws `bad-burst` for a burst that no bucket can have. */
export function requireBurst(burst: number): void {
  assertConfig(
    isCount(burst) && burst > 0,
    'bad-burst',
    `A burst cannot be ${describeValue(burst)}.`,
    'Use a whole number, 1 or more, with at most 15 digits.',
  );
}

/**
 * Returns a fixed rate in parsed form; null for an unlimited one.
 *
 * @throws RateLimitConfigError `bad-rate`, `bad-duration` or `bad-burst`.
 */
export function parseRate(input: RateInput): Rate | null {
  if (input === null || input === 'unlimited') return null;
  if (typeof input === 'string') return Object.freeze(parseText(input));
  if (typeof input === 'object') return Object.freeze(parseObject(input));
  throw rateError(input, '');
}

/**
 * Parses a rate that is known only at run time, from a file or the environment.
 *
 * @param name The source that an error names, such as the environment variable.
 * @returns The rate, or null for `'unlimited'`; both can be passed wherever a rate is expected.
 * @throws RateLimitConfigError `bad-rate` for a text that is not a rate.
 * @example
 * RateLimitModule.forRoot({ scopes: { login: rate(process.env.LOGIN_RATE ?? '5/15min', 'LOGIN_RATE') } });
 */
export function rate(text: string, name = ''): Rate | null {
  const errors = new ErrorCollector();
  const parsed = errors.try(name, () => parseRate(text as RateText));
  errors.throwIfAny();
  return parsed as Rate | null;
}
