import { Inject, Injectable } from '@nestjs/common';
import { RateLimiter } from '../../limiter/rate-limiter.js';
import type { ShardHealth } from '../../resilience/health.js';

/** What {@link RateLimitHealthIndicator} finds. */
export interface RateLimitHealth {
  /** What the health check is told; see {@link RateLimitHealthIndicator.isHealthy}. */
  readonly status: 'up' | 'down';
  /** Whether the store decides, or the process without it. */
  readonly store: 'up' | 'degraded';
  /** One for each node of a Cluster that was called, one alone for other stores. */
  readonly shards: readonly ShardHealth[];
  /** Requests that were decided without the store, or refused for want of it, since the start. */
  readonly degraded: number;
}

/**
 * Tells a health check how the store of rate limits is doing, in the form that `@nestjs/terminus` 11 and
 * later take.
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
   * @param key What it is called in the result.
   * @param options `degraded: 'down'` for an application that is better off without traffic than without its
   *   store. Default `'up'`: limits go on as their `failMode` says, and every process is in the same outage.
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
