import { lru } from 'tiny-lru';
import type { Clock } from './clock.js';
import { describeValue } from './errors.js';

/**
 * Hears of what goes wrong while requests are decided: the place, such as `AuthController.login`, what
 * went wrong in words that are always the same, and what came with it: an error, or a value of a client.
 */
export type ErrorReporter = (source: string, message: string, detail?: unknown) => void;

/** For how many milliseconds the same thing is said once at most. */
export const REPORT_INTERVAL_MS = 60_000;

/** What came with a report, on one line: clients choose it. */
export const describeDetail = (detail: unknown): string =>
  detail instanceof Error ? `Cause: ${describeValue(detail.message)}` : `It was ${describeValue(detail)}.`;

/** A call that may be asked again, once its user is known: until then nothing that goes wrong in it counts. */
interface MaybePremature {
  readonly isPremature?: boolean;
}

const UNHEARD: ErrorReporter = () => undefined;

/** Where to report what goes wrong for a context. */
export const reportFor = (context: unknown, report: ErrorReporter): ErrorReporter =>
  (context as MaybePremature).isPremature === true ? UNHEARD : report;

/** More different messages than an application has places. */
const MAX_MESSAGES = 1_000;

interface ReportRecord {
  lastMs: number;
  suppressed: number;
}

/** Reports the same thing of a place once a minute at most, with a count of the others. */
export function throttled(clock: Clock, say: (text: string) => void): ErrorReporter {
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
    const parts = [line];
    if (detail !== undefined) parts.push(describeDetail(detail));
    if (before !== undefined && before.suppressed > 0)
      parts.push(`(${before.suppressed} more since the last time)`);
    say(parts.join(' '));
  };
}
