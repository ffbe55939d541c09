import type { Clock } from '../core/clock.js';
import { inShort, QUIET_MS, type Report } from './report.js';

/** More different messages than an application has places; beyond them the count starts over. */
const MOST_MESSAGES = 1_000;

interface Heard {
  lastMs: number;
  since: number;
}

/** Reports the same thing of a place once a minute at most, with a count of the others. */
export function sampled(clock: Clock, say: (text: string) => void): Report {
  const heard = new Map<string, Heard>();
  return (place, what, detail) => {
    const message = `${place}: ${what}`;
    const nowMs = clock.now();
    const before = heard.get(message);
    if (before !== undefined && nowMs - before.lastMs < QUIET_MS) {
      before.since++;
      return;
    }
    if (heard.size >= MOST_MESSAGES) heard.clear();
    heard.set(message, { lastMs: nowMs, since: 0 });
    const parts = [message];
    if (detail !== undefined) parts.push(inShort(detail));
    if (before !== undefined && before.since > 0) parts.push(`(${before.since} more since the last time)`);
    say(parts.join(' '));
  };
}
