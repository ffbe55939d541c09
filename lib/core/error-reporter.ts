import { lru } from 'tiny-lru';
import type { Clock } from './clock.js';
import { describeValue } from './errors.js';

/**
 * Reports what goes wrong while requests are decided.
 *
 * @param source The place, such as `AuthController.login`.
 * @param message What went wrong. The same fault always has the same message.
 * @param detail An error, or a value of a client.
 */
export type ErrorReporter = (source: string, message: string, detail?: unknown) => void;

/** The milliseconds in which the same message is reported at most once. */
export const REPORT_INTERVAL_MS = 60_000;

/** Long enough for the library's own errors, whose fix is at the end. */
const MAX_CAUSE = 500;

/** Returns a text of at most `MAX_CAUSE` characters: a longer one is cut between words, where it has any, and marked. */
function shorten(text: string): string {
  if (text.length <= MAX_CAUSE) return text;
  const head = text.slice(0, MAX_CAUSE);
  const end = head.lastIndexOf(' ');
  return `${end > 0 ? head.slice(0, end) : head} ...`;
}

/** Returns a detail on one line, since clients choose what is in it. */
export const describeDetail = (detail: unknown): string =>
  detail instanceof Error
    ? `Cause: ${JSON.stringify(shorten(detail.message))}`
    : `It was ${describeValue(detail)}.`;

/** More messages than an application has places that can report one. */
const MAX_MESSAGES = 1_000;

interface ReportRecord {
  lastMs: number;
  suppressed: number;
}

/**
 * Reports the same message of a source at most once a minute, with the number of those suppressed since the
 * last one.
 */
export function throttled(clock: Clock, write: (text: string) => void): ErrorReporter {
  const records = lru<ReportRecord>(MAX_MESSAGES);
  return (source, message, detail) => {
    const line = `${source}: ${message}`;
    const nowMs = clock.now();
    const before = records.get(line);
    if (before !== undefined && nowMs - before.lastMs < REPORT_INTERVAL_MS) {
      before.suppressed++;
      return;
    }
    records.set(line, { lastMs: nowMs, suppressed: 0 });
    const cause = detail === undefined ? '' : ` ${describeDetail(detail)}`;
    const more =
      before === undefined || before.suppressed === 0
        ? ''
        : ` (${before.suppressed} more since the last time)`;
    write(`${line}${cause}${more}`);
  };
}
