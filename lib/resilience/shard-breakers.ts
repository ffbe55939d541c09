import type { Clock } from '../core/clock.js';
import type { StoreTarget } from '../store/store.js';
import { type BreakerSettings, type BreakerState, CircuitBreaker } from './circuit-breaker.js';

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

/** The store as its breakers see it. */
export interface ShardTarget {
  /** Returns the name of the shard that keeps an identity. Undefined for a store that fails as a whole. */
  readonly shardOf: ((identity: string) => string) | undefined;
  /** Resolves when the store decides for an identity. */
  probe(identity: string): Promise<unknown>;
  /** Called on each change of state; the shard is empty for a store that fails as a whole. */
  onStateChange(shard: string, breaker: CircuitBreaker): void;
}

const WHOLE_STORE: readonly string[] = [''];
/** The first of the identities for probes. */
export const FIRST_PROBE = 'probe:0';
/** Enough to reach every node of a Cluster. */
const probeIdentities = () => Array.from({ length: 1_000 }, (_, index) => `probe:${index}`);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** One circuit breaker for each shard of a store that can fail by itself. */
export class ShardBreakers {
  readonly #breakers = new Map<string, CircuitBreaker>();
  readonly #failing = new Set<string>();
  #isStopped = false;

  constructor(
    readonly settings: BreakerSettings,
    readonly clock: Clock,
    readonly target: ShardTarget,
  ) {
    if (target.shardOf === undefined) this.#breakerOf('');
  }

  /** True if all shards are called. */
  get allClosed(): boolean {
    return this.#failing.size === 0;
  }

  /** Returns the breaker of a failing shard that is to be called; null if there is none. */
  openBreakerFor(calls: readonly StoreTarget[]): CircuitBreaker | null {
    if (this.allClosed) return null;
    const failing = this.#shardsOf(calls).find((shard) => this.#failing.has(shard));
    return failing === undefined ? null : this.#breakerOf(failing);
  }

  /** Records a response in time. */
  onSuccess(calls: readonly StoreTarget[], nowMs: number): void {
    for (const shard of this.#shardsOf(calls)) this.#breakerOf(shard).onSuccess(nowMs);
  }

  /** Records a call that failed, and when it began. */
  onFailure(calls: readonly StoreTarget[], error: unknown, startedMs: number): void {
    const breakers = this.#shardsOf(calls).map((shard) => this.#breakerOf(shard));
    // If several shards may have caused it, the one that has been silent for longest is blamed.
    const [first, ...others] = breakers.sort((a, b) => a.lastResponseMs - b.lastResponseMs);
    // One that has responded since then has not caused it.
    if (first === undefined || (others.length > 0 && first.lastResponseMs >= startedMs)) return;
    first.onFailure(error, startedMs);
  }

  /** Opens the breaker of the shard that failed the first probe. */
  trip(error: unknown): void {
    this.#breakerOf(this.target.shardOf?.(FIRST_PROBE) ?? '').trip(error);
  }

  health(): readonly ShardHealth[] {
    return [...this.#breakers].map(([shard, { state, failures, error, retryAfterMs }]) => ({
      shard,
      breaker: state,
      failures,
      error: state === 'closed' ? null : messageOf(error),
      retryAfterMs,
    }));
  }

  /** Probes failing shards immediately. */
  probeNow(): void {
    for (const breaker of this.#breakers.values()) breaker.probeNow();
  }

  /** Ends all probes. */
  stop(): void {
    this.#isStopped = true;
    for (const breaker of this.#breakers.values()) breaker.stop();
  }

  #shardsOf(calls: readonly StoreTarget[]): readonly string[] {
    const { shardOf } = this.target;
    if (shardOf === undefined) return WHOLE_STORE;
    return [...new Set(calls.map(({ identity }) => shardOf(identity)))];
  }

  #breakerOf(shard: string): CircuitBreaker {
    const existing = this.#breakers.get(shard);
    if (existing !== undefined) return existing;
    const breaker: CircuitBreaker = new CircuitBreaker(this.settings, this.clock, {
      probe: () => this.#probe(shard),
      onStateChange: (state) => {
        if (state === 'closed') this.#failing.delete(shard);
        else this.#failing.add(shard);
        this.target.onStateChange(shard, breaker);
      },
    });
    if (this.#isStopped) breaker.stop();
    this.#breakers.set(shard, breaker);
    return breaker;
  }

  async #probe(shard: string): Promise<void> {
    const { shardOf } = this.target;
    const identity =
      shardOf === undefined ? FIRST_PROBE : probeIdentities().find((one) => shardOf(one) === shard);
    // The shard is gone: its identities are kept elsewhere.
    if (identity === undefined) this.#breakers.delete(shard);
    else await this.target.probe(identity);
  }
}
