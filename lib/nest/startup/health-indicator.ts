import { Inject, Injectable } from '@nestjs/common';
import { RateLimiter } from '../../limiter/rate-limiter.js';
import type { ShardHealth } from '../../resilience/shard-breakers.js';

/** The result of {@link RateLimitHealthIndicator}. */
export interface RateLimitHealth {
  /** The status for the health check; see {@link RateLimitHealthIndicator.isHealthy}. */
  readonly status: 'up' | 'down';
  /** `degraded` while this process decides without the store. */
  readonly store: 'up' | 'degraded';
  /** One for each node of a Cluster that was called; a single one for other stores. */
  readonly shards: readonly ShardHealth[];
  /** Requests since the start that were decided, or rejected, without the store. */
  readonly degraded: number;
}

/**
 * Reports the health of the store to a health check, in the form that `@nestjs/terminus` 11 and later take.
 *
 * @example
 * @Get('health') @HealthCheck()
 * check() {
 *   return this.health.check([() => this.rateLimits.isHealthy('rate-limits')]);
 * }
 */
@Injectable()
export class RateLimitHealthIndicator {
  constructor(@Inject(RateLimiter) private readonly limiter: RateLimiter) {}

  /**
   * @param key Its name in the result.
   * @param options `degraded: 'down'` takes the process out of traffic while its store fails. Default `'up'`: limits
   *   continue as their `failMode` says, and every process is in the same outage.
   */
  isHealthy<Key extends string>(
    key: Key,
    { degraded = 'up' }: { readonly degraded?: 'up' | 'down' } = {},
  ): Record<Key, RateLimitHealth> {
    const { status: store, ...rest } = this.limiter.health();
    const status = store === 'up' ? 'up' : degraded;
    return { [key]: { status, store, ...rest } } as Record<Key, RateLimitHealth>;
  }
}
