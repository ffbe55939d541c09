/** `closed`: calls go to the store; `open`: none does; `half-open`: one probes it, and no other goes. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** How one part of the store is doing. */
export interface ShardHealth {
  /** The node of a Cluster, as `host:port`; empty for a store that fails as a whole. */
  readonly shard: string;
  /** Whether calls go to it. */
  readonly breaker: BreakerState;
  /** Failures since its last answer. */
  readonly failures: number;
  /** What failed last; null while its breaker is closed. */
  readonly error: string | null;
  /** Milliseconds until it is probed again; 0 while it is being probed, and while its breaker is closed. */
  readonly retryAfterMs: number;
}

/** How the store is doing, as this process sees it. */
export interface StoreHealth {
  /** `degraded` while any part of the store is not called, since it fails. */
  readonly status: 'up' | 'degraded';
  /** One for each node of a Cluster that was called, one alone for other stores. */
  readonly shards: readonly ShardHealth[];
  /** Requests that were decided without the store, or refused for want of it, since the start. */
  readonly degraded: number;
}
