import { Logger } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { Report } from '../plan/report.js';

const QUIET_MS = 60_000;
/** More different messages than an application has places; beyond them the count starts over. */
const MOST_MESSAGES = 1_000;

interface Heard {
  lastMs: number;
  since: number;
}

const causeOf = (error: unknown): string => {
  if (error === undefined) return '';
  return ` Cause: ${error instanceof Error ? error.message : String(error)}`;
};

/** Reports to Nest's logger, each message once a minute at most, with a count of those left out. */
export function sampledReport(clock: Clock): Report {
  const logger = new Logger('RateLimit');
  const heard = new Map<string, Heard>();
  return (place, what, error) => {
    const message = `${place}: ${what}`;
    const nowMs = clock.now();
    const before = heard.get(message);
    if (before !== undefined && nowMs - before.lastMs < QUIET_MS && nowMs >= before.lastMs) {
      before.since++;
      return;
    }
    const leftOut =
      before === undefined || before.since === 0 ? '' : ` (${before.since} more since the last time)`;
    if (heard.size >= MOST_MESSAGES) heard.clear();
    heard.set(message, { lastMs: nowMs, since: 0 });
    logger.error(`${message}${causeOf(error)}${leftOut}`);
  };
}
