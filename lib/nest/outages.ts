import { Logger } from '@nestjs/common';
import type { Charge } from '../core/decision.js';
import type { BreakerState } from '../core/health.js';
import type { RateLimitEvents } from '../events/events.js';
import { OutageLog } from '../plan/outages.js';
import type { Report } from '../plan/report.js';
import type { StoreWatch } from '../store/resilience/resilience.js';

/** Tells the application how its store is doing: by events, and in the log. */
export class Outages implements StoreWatch {
  readonly #log: OutageLog;

  constructor(
    readonly events: RateLimitEvents,
    report: Report,
  ) {
    const logger = new Logger('RateLimit');
    this.#log = new OutageLog(report, (what) => logger.log(what));
  }

  degraded(charges: readonly Charge[], cause: unknown): void {
    this.#log.degraded(charges, cause);
  }

  breaker(part: string, state: BreakerState, cause: unknown): void {
    this.#log.breaker(part, state, cause);
    this.events.emit('breaker', { part, state, cause });
  }

  recovered(afterMs: number, degraded: number): void {
    this.#log.recovered(afterMs, degraded);
    this.events.emit('recovered', { afterMs, degraded });
  }
}
