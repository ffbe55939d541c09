import { assertConfig, describeValue } from './errors.js';

export const UNITS_MS = {
  s: 1_000,
  sec: 1_000,
  second: 1_000,
  seconds: 1_000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
  w: 604_800_000,
  week: 604_800_000,
  weeks: 604_800_000,
} as const;

/** A unit of time in rates and durations, from seconds to weeks. */
export type Unit = keyof typeof UNITS_MS;

/**
 * A length of time as text: a whole number and a unit.
 *
 * @example
 * const lockout: Duration = '15min';
 */
export type Duration = `${bigint}${Unit}`;

export const UNIT_NAMES = Object.keys(UNITS_MS) as readonly Unit[];

/** Ten years: the longest window and the longest block. */
const MAX_DURATION_MS = 3_650 * UNITS_MS.day;

/**
 * Returns `ms` if it is a whole number of milliseconds from 1 to ten years; throws `bad-duration` otherwise.
 */
export function requireDurationMs(ms: number, source: string): number {
  assertConfig(
    Number.isSafeInteger(ms) && ms >= 1 && ms <= MAX_DURATION_MS,
    'bad-duration',
    `${source} is not a length of time that a limit can have.`,
    'Use a whole number of milliseconds from 1 up to ten years.',
  );
  return ms;
}

const DURATION = new RegExp(`^(0|[1-9]\\d*)(${UNIT_NAMES.join('|')})$`);

/**
 * Returns the milliseconds of a duration.
 *
 * @throws RateLimitConfigError `bad-duration` for a text that is not a duration, and for zero or more than
 *   ten years.
 * @example
 * parseDuration('15min'); // 900000
 */
export function parseDuration(text: string): number {
  const match = typeof text === 'string' ? DURATION.exec(text) : null;
  assertConfig(
    match !== null,
    'bad-duration',
    `${describeValue(text)} is not a duration.`,
    `Write a whole number and a unit, such as '30s', '15min', '1h' or '7d'.`,
  );
  return requireDurationMs(Number(match[1]) * UNITS_MS[match[2] as Unit], describeValue(text));
}
