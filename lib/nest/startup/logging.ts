import { Logger } from '@nestjs/common';
import type { Clock } from '../../core/clock.js';
import { type ErrorReporter, throttled } from '../../core/error-reporter.js';

/** Reports to Nest's logger, the same thing of a place once a minute at most. */
export function throttledLogger(clock: Clock, level: 'error' | 'warn' = 'error'): ErrorReporter {
  const logger = new Logger('RateLimit');
  return throttled(clock, (text) => logger[level](text));
}
