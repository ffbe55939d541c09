import type { Clock } from '../core/clock.js';
import type { Charge } from '../core/decision.js';
import { type BreakerSettings, CircuitBreaker } from './circuit-breaker.js';
import type { ShardHealth } from './health.js';
import { FIRST_PROBE, probeIdentity } from './probe.js';

/** Names what keeps an identity. */
type ShardOf = (identity: string) => string;

/** How the breakers reach what they guard. */
export interface ShardTarget {
  /** Undefined for a store that fails as a whole. */
  readonly shardOf: ShardOf | undefined;
  /** Has the store decide for an identity; resolves when it does as it should. */
  probe(identity: string): Promise<unknown>;
  /** Hears of each change of state; the part is empty for a store that fails as a whole. */
  onStateChange(shard: string, breaker: CircuitBreaker): void;
}

const WHOLE_STORE: readonly string[] = [''];
/** More than it takes to meet every node of a Cluster. */
const PROBE_IDENTITIES = 1_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A breaker for each part of a store that can fail by itself. */
export class ShardBreakers {
  readonly #breakers = new Map<string, CircuitBreaker>();
  #notClosed = 0;
  #hasEnded = false;

  constructor(
    readonly settings: BreakerSettings,
    readonly clock: Clock,
    readonly target: ShardTarget,
  ) {
    if (target.shardOf === undefined) this.#of('');
  }

  /** Whether all parts are called. */
  get allClosed(): boolean {
    return this.#notClosed === 0;
  }

  /** A breaker that keeps a request from the store; null when none does. */
  openBreakerFor(charges: readonly Charge[]): CircuitBreaker | null {
    if (this.#notClosed === 0) return null;
    for (const shard of this.#shardsOf(charges)) {
      const breaker = this.#of(shard);
      if (breaker.state !== 'closed') return breaker;
    }
    return null;
  }

  /** A breaker that keeps calls from what keeps an identity; null when none does. */
  openBreakerOf(identity: string): CircuitBreaker | null {
    const breaker = this.#of(this.target.shardOf?.(identity) ?? '');
    return breaker.state === 'closed' ? null : breaker;
  }

  /** To be told of each answer in time. */
  onSuccess(charges: readonly Charge[], nowMs: number): void {
    for (const shard of this.#shardsOf(charges)) this.#of(shard).onSuccess(nowMs);
  }

  /** To be told of each call that failed, and of when it began. */
  onFailure(charges: readonly Charge[], error: unknown, startedMs: number): void {
    const breakers = this.#shardsOf(charges).map((shard) => this.#of(shard));
    // Of several that may be to blame, the one that has been silent for longest.
    const [first, ...others] = breakers.sort((a, b) => a.lastAnswerMs - b.lastAnswerMs);
    first?.onFailure(error, startedMs, others.length > 0);
  }

  /** Opens what keeps an identity: it failed the first time that it was asked. */
  trip(identity: string, error: unknown): void {
    const breaker = this.#of(this.target.shardOf?.(identity) ?? '');
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

  /** Probes at once what fails. */
  probeNow(): void {
    for (const breaker of this.#breakers.values()) breaker.probeNow();
  }

  /** Probes no more. */
  stop(): void {
    this.#hasEnded = true;
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

  #of(shard: string): CircuitBreaker {
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
    if (this.#hasEnded) breaker.stop();
    this.#breakers.set(shard, breaker);
    return breaker;
  }

  async #probe(shard: string): Promise<void> {
    const identity = this.#identityIn(shard);
    // The part is no more: its identities are kept elsewhere.
    if (identity === null) this.#breakers.delete(shard);
    else await this.target.probe(identity);
  }

  /** An identity that is kept by a part; null when there is none. */
  #identityIn(shard: string): string | null {
    const { shardOf } = this.target;
    if (shardOf === undefined) return FIRST_PROBE;
    for (let at = 0; at < PROBE_IDENTITIES; at++) {
      const identity = probeIdentity(at);
      if (shardOf(identity) === shard) return identity;
    }
    return null;
  }
}
