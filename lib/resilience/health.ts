/** State of a circuit breaker. `closed`: calls go to the store; `open`: none do; `half-open`: only a probe does. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** Health of one shard of the store. */
export interface ShardHealth {
  /** A node of a Cluster, as `host:port`; empty for a store that fails as a whole. */
  readonly shard: string;
  /** The state of its breaker. */
  readonly breaker: BreakerState;
  /** Failures since its last response. */
  readonly failures: number;
  /** The last error; null while its breaker is closed. */
  readonly error: string | null;
  /** Milliseconds until the next probe; 0 during a probe and while its breaker is closed. */
  readonly retryAfterMs: number;
}

/** Health of the store, as this process sees it. */
export interface StoreHealth {
  /** `degraded` while any shard fails and is therefore not called. */
  readonly status: 'up' | 'degraded';
  /** One entry for each node of a Cluster that was called; a single entry for other stores. */
  readonly shards: readonly ShardHealth[];
  /** Requests since start-up that were decided without the store, or refused because it failed. */
  readonly degraded: number;
}
