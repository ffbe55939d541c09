import type { Charge } from '../core/decision.js';
import type { BreakerState } from '../core/health.js';
import type { StoreWatch } from '../store/resilience/resilience.js';
import type { Report } from './report.js';

const PLACE = 'store';

/** Says when the store fails and when it works again: once an outage, not once a request. */
export class OutageLog implements StoreWatch {
  readonly #failing = new Set<string>();

  constructor(
    readonly report: Report,
    readonly say: (what: string) => void,
  ) {}

  degraded(_charges: readonly Charge[], cause: unknown): void {
    // Of an outage it is said already.
    if (cause === null || this.#failing.size > 0) return;
    this.report(PLACE, 'The store failed a request, which went on as its failMode says.', cause);
  }

  breaker(part: string, state: BreakerState, cause: unknown): void {
    if (state === 'closed') this.#failing.delete(part);
    if (state !== 'open' || this.#failing.has(part)) return;
    this.#failing.add(part);
    const where = part === '' ? '' : ` at ${part}`;
    this.report(
      PLACE,
      `The store${where} fails, so limits are decided without it, as their failMode says.`,
      cause,
    );
  }

  recovered(afterMs: number, degraded: number): void {
    const seconds = Math.ceil(afterMs / 1_000);
    this.say(
      `${PLACE}: The store decides again, after ${seconds} s in which ${degraded} requests were decided without it.`,
    );
  }
}
