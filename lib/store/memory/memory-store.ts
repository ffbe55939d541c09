import { type State, UNTOUCHED } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import { type Clock, systemClock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import { mistake } from '../../core/errors.js';
import { definePolicy, type Policy } from '../../core/policy.js';
import { shown } from '../../core/shown.js';
import type { Store, StoreReply, StoreTarget } from '../store.js';
import type { Bucket } from './bucket.js';
import { Buckets } from './buckets.js';
import { decide } from './decide.js';

/** A memory store is as full of blocks as it may be. */
export class NoRoomError extends RangeError {
  override readonly name = 'NoRoomError';
}

/** Settings of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /**
   * The most buckets held at a time, a bucket being one identity under one limit; 1 or more, default
   * 250,000. At the bound, what has ended goes first, then what is least charged, never what is blocked.
   * A bucket takes about 250 bytes with one charge, up to 1 kB with many under `sliding-window`.
   */
  readonly maxBuckets?: number | undefined;
  /** Default: the time of this process. */
  readonly clock?: Clock | undefined;
}

// Where the blocks of whole identities are kept: a bucket each, that nothing is charged to.
const BLOCK = definePolicy({ name: 'block', scope: '', rate: { limit: 1, windowMs: 1 } });

const DEFAULT_MAX_BUCKETS = 250_000;
const SWEEP_EVERY_MS = 1_000;
const SWEEP_AT_MOST = 10_000;

/**
 * Keeps buckets in this process and answers at once. The default store.
 *
 * @throws RateLimitConfigError `bad-option` for a `maxBuckets` that is no whole number of 1 or more.
 * @example
 * RateLimitModule.forRoot({ store: new MemoryStore({ maxBuckets: 1_000_000 }), limits: [...] });
 */
export class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #buckets: Buckets;
  #stopSweeping: (() => void) | null = null;

  constructor({ maxBuckets = DEFAULT_MAX_BUCKETS, clock = systemClock }: MemoryStoreOptions = {}) {
    if (!Number.isSafeInteger(maxBuckets) || maxBuckets < 1) {
      throw mistake(
        'bad-option',
        `MemoryStore cannot hold maxBuckets: ${shown(maxBuckets)}.`,
        'Give a whole number, 1 or more; a bucket takes 250 bytes to 1 kB.',
      );
    }
    this.#clock = clock;
    this.#buckets = new Buckets(maxBuckets);
  }

  /** How many buckets it holds now. */
  get size(): number {
    return this.#buckets.size;
  }

  consume(charges: readonly Charge[]): StoreReply {
    const atMs = this.#clock.now();
    const buckets: (Bucket | undefined)[] = [];
    const waits: number[] = [];
    let admitted = true;
    for (const charge of charges) {
      const bucket = this.#buckets.get(charge.policy, charge.identity);
      bucket?.underPolicy(charge.policy, atMs);
      const waitMs = this.#waitMs(charge, bucket, bucket?.state ?? UNTOUCHED, atMs);
      if (waitMs > 0 && !charge.shadow) admitted = false;
      buckets.push(bucket);
      waits.push(waitMs);
    }
    const decisions: Decision[] = [];
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      let waitMs = waits[i] as number;
      let receipt: Bucket | null = null;
      let startsBlock = false;
      if (waitMs === 0) {
        if (admitted && charge.cost > 0) receipt = this.#charge(charge, buckets, i, atMs);
      } else if (charge.blocks.length > 0 && !charge.shadow) {
        const blockMs = this.#block(charge, buckets[i], waitMs, atMs);
        startsBlock = blockMs > 0;
        waitMs = Math.max(waitMs, blockMs);
      }
      const bucket = buckets[i];
      const blockedMs = waitMs === 0 ? 0 : this.#blockedUntilMs(charge.identity, bucket) - atMs;
      decisions.push(
        decide(charge, bucket?.state ?? UNTOUCHED, waitMs, blockedMs, startsBlock, atMs, receipt),
      );
    }
    return { decisions, degraded: false };
  }

  peek(charges: readonly Charge[]): StoreReply {
    const atMs = this.#clock.now();
    const decisions = charges.map((charge) => {
      const { policy, identity } = charge;
      const bucket = this.#buckets.get(policy, identity);
      const settle = () => ALGORITHMS[policy.algorithm].settle([...(bucket?.state ?? [])], policy, atMs);
      const state = policy.limit === 0 ? UNTOUCHED : settle();
      const waitMs = this.#waitMs(charge, bucket, state, atMs);
      const blockedMs = this.#blockedUntilMs(identity, bucket) - atMs;
      return decide(charge, state, waitMs, blockedMs, false, atMs, null);
    });
    return { decisions, degraded: false };
  }

  refund(decisions: readonly Decision[]): void {
    const nowMs = this.#clock.now();
    for (const { charge, atMs, resetAfterMs, receipt } of decisions) {
      const bucket = this.#buckets.get(charge.policy, charge.identity);
      // Another bucket than the one charged: that was reset, evicted or has ended.
      if (bucket === undefined || bucket !== receipt) continue;
      bucket.settle(nowMs);
      const charged = { cost: charge.cost, atMs, resetAfterMs };
      bucket.state = ALGORITHMS[charge.policy.algorithm].refund(bucket.state, charge.policy, charged, nowMs);
    }
  }

  reset({ identity, scope }: StoreTarget): void {
    for (const bucket of this.#buckets.of(identity, scope)) this.#buckets.delete(bucket);
  }

  block(identity: string, forMs: number): void {
    const nowMs = this.#clock.now();
    const known = this.#buckets.get(BLOCK, identity);
    const bucket = known ?? this.#buckets.create(BLOCK, identity, [], nowMs);
    if (bucket === undefined || !this.#buckets.block(bucket, nowMs + forMs, nowMs)) {
      if (bucket !== undefined && known === undefined) this.#buckets.delete(bucket);
      throw new NoRoomError(
        `MemoryStore has no room for another block, since blocks take half of its ${this.#buckets.max} buckets already. Unblock others, or raise maxBuckets.`,
      );
    }
    if (known === undefined) this.#watch(bucket, nowMs);
  }

  unblock(identity: string): void {
    for (const bucket of this.#buckets.of(identity, undefined)) {
      if (bucket.policy === BLOCK) this.#buckets.delete(bucket);
      else this.#buckets.unblock(bucket);
    }
  }

  /** @internal Whether it holds a bucket. */
  has(policy: Policy, identity: string): boolean {
    return this.#buckets.get(policy, identity) !== undefined;
  }

  /** @internal Forgets a bucket. */
  drop(policy: Policy, identity: string): void {
    const bucket = this.#buckets.get(policy, identity);
    if (bucket !== undefined) this.#buckets.delete(bucket);
  }

  /**
   * Takes over what another store has said of a bucket: from then on it counts at least that.
   *
   * @internal
   * @param used Units, charged to it at `chargedAtMs` by the clock of this store.
   */
  seed(policy: Policy, identity: string, used: number, chargedAtMs: number, blockedUntilMs: number): void {
    const nowMs = this.#clock.now();
    const algorithm = ALGORITHMS[policy.algorithm];
    const charged = used === 0 ? UNTOUCHED : algorithm.charge(UNTOUCHED, policy, used, chargedAtMs);
    const state = algorithm.settle(charged, policy, nowMs);
    const isBlocked = blockedUntilMs > nowMs;
    if (state === UNTOUCHED && !isBlocked) return;
    const known = this.#buckets.get(policy, identity);
    const bucket = known ?? this.#buckets.create(policy, identity, [], nowMs);
    if (bucket === undefined) return;
    bucket.underPolicy(policy, nowMs);
    bucket.state = algorithm.atLeast(bucket.state, state, policy, nowMs);
    if (isBlocked) this.#buckets.block(bucket, Math.max(blockedUntilMs, bucket.blockedUntilMs), nowMs);
    if (known === undefined) this.#watch(bucket, nowMs);
  }

  /** Forgets everything: for tests, between two of them. */
  clear(): void {
    this.#buckets.clear();
    this.close();
  }

  /** Stops its timer; the next new bucket starts it again. */
  close(): void {
    this.#stopSweeping?.();
    this.#stopSweeping = null;
  }

  /** 0 when the charge passes now, else how long its own limit or a block makes it wait. */
  #waitMs(
    { policy, identity, cost }: Charge,
    bucket: Bucket | undefined,
    state: State,
    nowMs: number,
  ): number {
    if (policy.limit === 0) return Number.POSITIVE_INFINITY;
    const waitMs = cost === 0 ? 0 : ALGORITHMS[policy.algorithm].waitMs(state, policy, cost, nowMs);
    return Math.max(waitMs, this.#blockedUntilMs(identity, bucket) - nowMs);
  }

  #blockedUntilMs(identity: string, bucket: Bucket | undefined): number {
    if (!this.#buckets.anyBlocked) return 0;
    return Math.max(bucket?.blockedUntilMs ?? 0, this.#buckets.get(BLOCK, identity)?.blockedUntilMs ?? 0);
  }

  /** Writes an admitted charge into `buckets[at]`, making the bucket when this is its first. */
  #charge(charge: Charge, buckets: (Bucket | undefined)[], at: number, nowMs: number): Bucket | null {
    const { policy, identity, cost } = charge;
    const seen = buckets[at];
    // One that had ended may have made room for another bucket of this request.
    const known = seen?.state === UNTOUCHED ? this.#buckets.get(policy, identity) : seen;
    const bucket = known ?? this.#buckets.create(policy, identity, buckets, nowMs);
    // No room: this one request has more limits than the store may have buckets.
    if (bucket === undefined) return null;
    buckets[at] = bucket;
    bucket.state = ALGORITHMS[policy.algorithm].charge(bucket.state, policy, cost, nowMs);
    if (known === undefined) this.#watch(bucket, nowMs);
    return bucket;
  }

  /** Starts the block of a denied charge and gives its length; 0 where none begins. */
  #block({ identity, blocks }: Charge, bucket: Bucket | undefined, waitMs: number, nowMs: number): number {
    const never = waitMs === Number.POSITIVE_INFINITY;
    if (never || bucket === undefined || this.#blockedUntilMs(identity, bucket) > nowMs) return 0;
    const blockMs = bucket.nextBlockMs(blocks, nowMs);
    if (!this.#buckets.block(bucket, nowMs + blockMs, nowMs)) return 0;
    bucket.strike(blocks, blockMs, nowMs);
    return blockMs;
  }

  #watch(bucket: Bucket, nowMs: number): void {
    this.#buckets.watch(bucket, nowMs);
    this.#stopSweeping ??= this.#clock.every(SWEEP_EVERY_MS, () => this.#sweep());
  }

  /** So that memory goes back when no request comes any more. */
  #sweep(): void {
    this.#buckets.dropEnded(SWEEP_AT_MOST, this.#clock.now());
    if (this.#buckets.size === 0) this.close();
  }
}
