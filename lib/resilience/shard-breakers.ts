import type { Clock } from '../core/clock.js';
import type { Charge } from '../core/decision.js';
import { type BreakerSettings, CircuitBreaker } from './circuit-breaker.js';
import type { ShardHealth } from './health.js';
import { FIRST_PROBE, probeIdentity } from './probe.js';

/** Returns the name of the shard that keeps an identity. */
type ShardOf = (identity: string) => string;

/** The store as its breakers see it. */
export interface ShardTarget {
  /** Undefined for a store that fails as a whole. */
  readonly shardOf: ShardOf | undefined;
  /** Resolves when the store decides for an identity. */
  probe(identity: string): Promise<unknown>;
  /** Called on each change of state; the shard is empty for a store that fails as a whole. */
  onStateChange(shard: string, breaker: CircuitBreaker): void;
}

const WHOLE_STORE: readonly string[] = [''];
/** Enough to reach every node of a Cluster. */
const PROBE_IDENTITIES = 1_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** One circuit breaker for each shard of a store that can fail by itself. */
export class ShardBreakers {
  readonly #breakers = new Map<string, CircuitBreaker>();
  #notClosed = 0;
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
    return this.#notClosed === 0;
  }

  /** Returns a breaker that is not closed for a shard of these charges; null if there is none. */
  openBreakerFor(charges: readonly Charge[]): CircuitBreaker | null {
    if (this.#notClosed === 0) return null;
    for (const shard of this.#shardsOf(charges)) {
      const breaker = this.#breakerOf(shard);
      if (breaker.state !== 'closed') return breaker;
    }
    return null;
  }

  /** Returns the breaker of an identity's shard if it is not closed, otherwise null. */
  openBreakerOf(identity: string): CircuitBreaker | null {
    const breaker = this.#breakerOf(this.target.shardOf?.(identity) ?? '');
    return breaker.state === 'closed' ? null : breaker;
  }

  /** Records a response in time. */
  onSuccess(charges: readonly Charge[], nowMs: number): void {
    for (const shard of this.#shardsOf(charges)) this.#breakerOf(shard).onSuccess(nowMs);
  }

  /** Records a call that failed, and when it began. */
  onFailure(charges: readonly Charge[], error: unknown, startedMs: number): void {
    const breakers = this.#shardsOf(charges).map((shard) => this.#breakerOf(shard));
    // If several shards may have caused it, the one that has been silent for longest is blamed.
    const [first, ...others] = breakers.sort((a, b) => a.lastResponseMs - b.lastResponseMs);
    first?.onFailure(error, startedMs, others.length > 0);
  }

  /** Opens the breaker of an identity's shard, which failed its first call. */
  trip(identity: string, error: unknown): void {
    const breaker = this.#breakerOf(this.target.shardOf?.(identity) ?? '');
    if (breaker.state === 'closed') breaker.trip(error);
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

  #shardsOf(charges: readonly Charge[]): readonly string[] {
    const { shardOf } = this.target;
    if (shardOf === undefined) return WHOLE_STORE;
    if (charges.length === 0) return [];
    const first = shardOf((charges[0] as Charge).identity);
    let shards: string[] | null = null;
    for (let i = 1; i < charges.length; i++) {
      const { identity } = charges[i] as Charge;
      if (identity === (charges[i - 1] as Charge).identity) continue;
      const shard = shardOf(identity);
      if (shard === first || shards?.includes(shard)) continue;
      shards = shards === null ? [first, shard] : [...shards, shard];
    }
    return shards ?? [first];
  }

  #breakerOf(shard: string): CircuitBreaker {
    let breaker = this.#breakers.get(shard);
    if (breaker !== undefined) return breaker;
    let wasClosed = true;
    breaker = new CircuitBreaker(this.settings, this.clock, {
      probe: () => this.#probe(shard),
      onStateChange: (state) => {
        if (wasClosed !== (state === 'closed')) this.#notClosed += wasClosed ? 1 : -1;
        wasClosed = state === 'closed';
        this.target.onStateChange(shard, breaker as CircuitBreaker);
      },
    });
    if (this.#isStopped) breaker.stop();
    this.#breakers.set(shard, breaker);
    return breaker;
  }

  async #probe(shard: string): Promise<void> {
    const identity = this.#findIdentityIn(shard);
    // The shard is gone: its identities are kept elsewhere.
    if (identity === null) this.#breakers.delete(shard);
    else await this.target.probe(identity);
  }

  /** Finds a probe identity that a shard keeps; null if there is none. */
  #findIdentityIn(shard: string): string | null {
    const { shardOf } = this.target;
    if (shardOf === undefined) return FIRST_PROBE;
    for (let index = 0; index < PROBE_IDENTITIES; index++) {
      const identity = probeIdentity(index);
      if (shardOf(identity) === shard) return identity;
    }
    return null;
  }
}
