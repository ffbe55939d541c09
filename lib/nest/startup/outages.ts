import { Logger } from '@nestjs/common';
import type { Charge } from '../../core/decision.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import type { RateLimitEvents } from '../../observe/events.js';
import type { BreakerState } from '../../resilience/health.js';
import type { StoreWatch } from '../../resilience/options.js';
import { OutageLog } from '../../resilience/outage-log.js';

/** Tells the application how its store is doing: by events, and in the log. */
export class Outages implements StoreWatch {
  readonly #log: OutageLog;

  constructor(
    readonly events: RateLimitEvents,
    report: ErrorReporter,
  ) {
    const logger = new Logger('RateLimit');
    this.#log = new OutageLog(report, (message) => logger.log(message));
  }

  degraded(charges: readonly Charge[], cause: unknown): void {
    this.#log.degraded(charges, cause);
  }

  breaker(shard: string, state: BreakerState, cause: unknown): void {
    this.#log.breaker(shard, state, cause);
    this.events.emit('breaker', { shard, state, cause });
  }

  recovered(afterMs: number, degraded: number): void {
    this.#log.recovered(afterMs, degraded);
    this.events.emit('recovered', { afterMs, degraded });
  }
}
