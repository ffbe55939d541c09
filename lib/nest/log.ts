import { Logger } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { Report } from '../plan/report.js';
import { sampled } from '../plan/sampled-report.js';

/** Reports to Nest's logger, the same thing of a place once a minute at most. */
export function sampledReport(clock: Clock, level: 'error' | 'warn' = 'error'): Report {
  const logger = new Logger('RateLimit');
  return sampled(clock, (text) => logger[level](text));
}
