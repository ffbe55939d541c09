import { type Clock, systemClock } from '../core/clock.js';
import type { Charge } from '../core/decision.js';
import type { BreakerState } from '../core/health.js';
import type { StoreWatch } from '../store/resilience/resilience.js';
import { QUIET_MS, type Report } from './report.js';

const PLACE = 'store';

/** Says when the store fails and when it works again: once an outage, and of outages that follow each other once a minute. */
export class OutageLog implements StoreWatch {
  readonly #failing = new Set<string>();
  #saidMs = Number.NEGATIVE_INFINITY;
  /** Whether it was said of this outage that the store fails. */
  #isSaid = false;
  #unsaid = 0;

  constructor(
    readonly report: Report,
    readonly say: (what: string) => void,
    readonly clock: Clock = systemClock,
  ) {}

  degraded(_charges: readonly Charge[], cause: unknown): void {
    // Of an outage it is said already.
    if (cause === null || this.#failing.size > 0) return;
    this.report(PLACE, 'The store failed a request, which went on as its failMode says.', cause);
  }

  breaker(part: string, state: BreakerState, cause: unknown): void {
    if (state === 'closed') this.#failing.delete(part);
    if (state !== 'open') return;
    if (this.#failing.size === 0) {
      this.#isSaid = false;
      this.#unsaid++;
    }
    const isNew = !this.#failing.has(part);
    this.#failing.add(part);
    const nowMs = this.clock.now();
    // An outage of which it was too early to speak is told of when it lasts.
    if (this.#isSaid ? !isNew : nowMs - this.#saidMs < QUIET_MS) return;
    if (!this.#isSaid) {
      this.#isSaid = true;
      this.#saidMs = nowMs;
      this.#unsaid--;
    }
    const where = part === '' ? '' : ` at ${part}`;
    this.report(
      PLACE,
      `The store${where} fails, so limits are decided without it, as their failMode says.`,
      cause,
    );
  }

  recovered(afterMs: number, degraded: number): void {
    if (!this.#isSaid) return;
    const more = this.#unsaid === 0 ? '' : ` There were ${this.#unsaid} more outages since the last time.`;
    this.#unsaid = 0;
    const seconds = Math.ceil(afterMs / 1_000);
    this.say(
      `${PLACE}: The store decides again, after ${seconds} s in which ${degraded} requests were decided without it.${more}`,
    );
  }
}
