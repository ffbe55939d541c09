import type { Rate } from '../core/rate.js';

/** Returns whole seconds, rounded up, so that a client that waits for them has waited long enough. */
export const toSeconds = (ms: number): number => Math.ceil(ms / 1_000);

/** Returns the seconds of a `Retry-After`, at least 1; null when no wait helps. */
export const retryAfterSeconds = (ms: number | null): number | null =>
  ms === null ? null : Math.max(1, toSeconds(ms));

const UNITS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

/** Formats seconds in the two largest units: `14 minutes 32 seconds`. */
export function formatDuration(seconds: number): string {
  const largest = UNITS.findIndex(([, length]) => seconds >= length);
  let rest = seconds;
  const words = UNITS.slice(largest, largest + 2).map(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    return count === 0 ? '' : ` ${count} ${unit}${count === 1 ? '' : 's'}`;
  });
  return words.join('').trim();
}

/** Formats a rate: `5 in 15 minutes`. */
export const formatRate = ({ limit, windowMs }: Pick<Rate, 'limit' | 'windowMs'>): string =>
  `${limit} in ${formatDuration(windowMs / 1_000) || `${windowMs} ms`}`;
