import { Logger } from '@nestjs/common';
import { steadyClock } from '../../core/clock.js';
import { createDenialLog } from '../../observe/denial-log.js';
import { emitEvents } from '../../observe/emit-events.js';
import type { RateLimitEvents } from '../../observe/events.js';
import type { Publisher } from '../../observe/publisher.js';
import type { RateLimitStats } from '../../observe/stats/stats.js';
import { createTelemetry, type Telemetry } from '../../observe/telemetry.js';
import type { GuardedStore } from '../../resilience/guard-store.js';
import { createOutageLog } from '../../resilience/outage-log.js';
import { UserDiagnostics } from './diagnostics.js';
import type { Settings } from './settings.js';

/**
 * Subscribes everything that the application asked for to what is published.
 *
 * @returns The telemetry, to be closed at the end; null without a meter.
 */
export function subscribeAll(
  publisher: Publisher,
  { meter, logIdentities, defaults, statistics, report }: Settings,
  store: GuardedStore,
  events: RateLimitEvents,
  stats: RateLimitStats,
): Telemetry | null {
  const logger = new Logger('RateLimit');
  const logOutage = createOutageLog(report, (message) => logger.log(message));
  publisher.subscribe((event) => {
    if (event.kind !== 'request') logOutage(event);
  });
  publisher.subscribe(new UserDiagnostics().onPublished);
  if (statistics !== null) publisher.subscribe(stats.onPublished);
  const telemetry = meter === undefined ? null : createTelemetry(meter, store, report);
  if (telemetry !== null) publisher.subscribe(telemetry.onPublished, { measures: true });
  if (logIdentities !== null) {
    const warn = (line: object): void => logger.warn(line);
    publisher.subscribe(createDenialLog(steadyClock, logIdentities, defaults.hash, warn));
  }
  publisher.subscribe(emitEvents(events));
  return telemetry;
}
