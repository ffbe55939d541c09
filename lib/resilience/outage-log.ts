import { type Clock, systemClock } from '../core/clock.js';
import type { Charge } from '../core/decision.js';
import { type ErrorReporter, REPORT_INTERVAL_MS } from '../core/error-reporter.js';
import type { BreakerState } from './health.js';
import type { StoreWatch } from './options.js';

const SOURCE = 'store';

/** Says when the store fails and when it works again: once an outage, and of outages that follow each other once a minute. */
export class OutageLog implements StoreWatch {
  readonly #failing = new Set<string>();
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether it was said of this outage that the store fails. */
  #isReported = false;
  #suppressed = 0;

  constructor(
    readonly report: ErrorReporter,
    readonly info: (message: string) => void,
    readonly clock: Clock = systemClock,
  ) {}

  degraded(_charges: readonly Charge[], cause: unknown): void {
    // Of an outage it is said already.
    if (cause === null || this.#failing.size > 0) return;
    this.report(SOURCE, 'The store failed a request, which went on as its failMode says.', cause);
  }

  breaker(shard: string, state: BreakerState, cause: unknown): void {
    if (state === 'closed') this.#failing.delete(shard);
    if (state !== 'open') return;
    if (this.#failing.size === 0) {
      this.#isReported = false;
      this.#suppressed++;
    }
    const isNew = !this.#failing.has(shard);
    this.#failing.add(shard);
    const nowMs = this.clock.now();
    // An outage of which it was too early to speak is told of when it lasts.
    if (this.#isReported ? !isNew : nowMs - this.#reportedAtMs < REPORT_INTERVAL_MS) return;
    if (!this.#isReported) {
      this.#isReported = true;
      this.#reportedAtMs = nowMs;
      this.#suppressed--;
    }
    const where = shard === '' ? '' : ` at ${shard}`;
    this.report(
      SOURCE,
      `The store${where} fails, so limits are decided without it, as their failMode says.`,
      cause,
    );
  }

  recovered(afterMs: number, degraded: number): void {
    if (!this.#isReported) return;
    const more =
      this.#suppressed === 0 ? '' : ` There were ${this.#suppressed} more outages since the last time.`;
    this.#suppressed = 0;
    const seconds = Math.ceil(afterMs / 1_000);
    this.info(
      `${SOURCE}: The store decides again, after ${seconds} s in which ${degraded} requests were decided without it.${more}`,
    );
  }
}
