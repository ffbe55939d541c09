import { EMPTY_STATE } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import { brand } from '../../core/brand.js';
import { type Clock, systemClock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import { configError, describeValue } from '../../core/errors.js';
import type { Policy } from '../../core/policy.js';
import type { Store, StoreReply, StoreTarget } from '../store.js';
import { Buckets } from './buckets.js';
import { Evaluator, IDENTITY_BLOCK } from './evaluator.js';
import { NONE } from './slab-rows.js';

/** A memory store is as full of blocks as it may be. */
export class StoreFullError extends RangeError {
  override readonly name = 'StoreFullError';
}

/** Settings of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /**
   * The most buckets held at a time, a bucket being one identity under one limit; 1 or more, default
   * 250,000. At the bound, what has ended goes first, then what is least charged, never what is blocked.
   * A bucket takes about 150 bytes, under `sliding-window` 180 with one charge and up to 700 with many.
   */
  readonly maxBuckets?: number | undefined;
  /** Default: the time of this process. */
  readonly clock?: Clock | undefined;
}

const DEFAULT_MAX_BUCKETS = 250_000;
const SWEEP_EVERY_MS = 1_000;
const MAX_SWEPT = 10_000;

/**
 * Keeps buckets in this process and answers at once. The default store.
 *
 * @throws RateLimitConfigError `bad-option` for a `maxBuckets` that is no whole number of 1 or more.
 * @example
 * RateLimitModule.forRoot({ store: new MemoryStore({ maxBuckets: 1_000_000 }), scopes: { login: '5/15min' } });
 */
export class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #buckets: Buckets;
  readonly #evaluator: Evaluator;
  #stopSweeping: (() => void) | null = null;

  constructor({ maxBuckets = DEFAULT_MAX_BUCKETS, clock = systemClock }: MemoryStoreOptions = {}) {
    if (!Number.isSafeInteger(maxBuckets) || maxBuckets < 1) {
      throw configError(
        'bad-option',
        `MemoryStore cannot hold maxBuckets: ${describeValue(maxBuckets)}.`,
        'Give a whole number, 1 or more; a bucket takes 150 to 700 bytes.',
      );
    }
    this.#clock = clock;
    this.#buckets = new Buckets(maxBuckets);
    this.#evaluator = new Evaluator(this.#buckets);
  }

  /** How many buckets it holds now. */
  get size(): number {
    return this.#buckets.size;
  }

  consume(charges: readonly Charge[]): StoreReply {
    const decisions = this.#evaluator.consume(charges, this.#clock.now());
    if (this.#stopSweeping === null) this.#startSweeping();
    return { decisions, degraded: false };
  }

  peek(charges: readonly Charge[]): StoreReply {
    return { decisions: this.#evaluator.peek(charges, this.#clock.now()), degraded: false };
  }

  refund(decisions: readonly Decision[]): void {
    const nowMs = this.#clock.now();
    for (const { charge, atMs, resetAfterMs, receipt } of decisions) {
      const { policy, identity, cost } = charge;
      const address = this.#buckets.find(policy.bucketKey, identity);
      // Another bucket than the one charged: that was reset, evicted or has ended.
      if (address === NONE || this.#buckets.generationOf(address) !== receipt) continue;
      const algorithm = ALGORITHMS[policy.algorithm];
      const charged = { cost, atMs, resetAfterMs };
      const state = algorithm.refund(this.#buckets.stateOf(address), policy, charged, nowMs);
      // Its limit may have changed since this was charged.
      this.#buckets.write(address, this.#buckets.ruleOf(address), state);
    }
  }

  reset({ identity, scope }: StoreTarget): void {
    for (const address of this.#buckets.of(identity, scope)) this.#buckets.delete(address);
  }

  block(identity: string, forMs: number): void {
    const nowMs = this.#clock.now();
    const known = this.#buckets.find(IDENTITY_BLOCK.bucketKey, identity);
    const address =
      known === NONE ? this.#buckets.create(IDENTITY_BLOCK, identity, EMPTY_STATE, [], nowMs) : known;
    const isBlocked = address !== NONE && this.#buckets.block(address, nowMs + forMs, nowMs);
    if (isBlocked) {
      this.#startSweeping();
      return;
    }
    if (address !== NONE && known === NONE) this.#buckets.delete(address);
    throw new StoreFullError(
      `MemoryStore has no room for another block, since blocks take half of its ${this.#buckets.max} buckets already. Unblock others, or raise maxBuckets.`,
    );
  }

  unblock(identity: string): void {
    const whole = this.#buckets.find(IDENTITY_BLOCK.bucketKey, identity);
    if (whole !== NONE) this.#buckets.delete(whole);
    for (const address of this.#buckets.of(identity, undefined)) {
      this.#buckets.blocks.forget(this.#buckets.generationOf(address));
    }
  }

  /** @internal Whether it holds a bucket. */
  has({ bucketKey }: Policy, identity: string): boolean {
    return this.#buckets.find(bucketKey, identity) !== NONE;
  }

  /** @internal Forgets a bucket. */
  drop({ bucketKey }: Policy, identity: string): void {
    const address = this.#buckets.find(bucketKey, identity);
    if (address !== NONE) this.#buckets.delete(address);
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
    const charged = used === 0 ? EMPTY_STATE : algorithm.charge(EMPTY_STATE, policy, used, chargedAtMs);
    const state = algorithm.settle(charged, policy, nowMs);
    const isBlocked = blockedUntilMs > nowMs;
    if (state === EMPTY_STATE && !isBlocked) return;
    const known = this.#buckets.find(policy.bucketKey, identity);
    let address: number;
    if (known === NONE) address = this.#buckets.create(policy, identity, state, [], nowMs);
    else {
      const before = this.#buckets.settled(known, policy, nowMs);
      address = this.#buckets.write(known, policy, algorithm.merge(before, state, policy, nowMs));
    }
    if (address === NONE) return;
    const untilMs = this.#buckets.blocks.untilMs(this.#buckets.generationOf(address));
    if (isBlocked) this.#buckets.block(address, Math.max(blockedUntilMs, untilMs), nowMs);
    this.#startSweeping();
  }

  /** Forgets everything: for tests, between two of them. */
  clear(): void {
    this.#buckets.clear();
    this.close();
  }

  /** Stops its timer; the next decision starts it again. */
  close(): void {
    this.#stopSweeping?.();
    this.#stopSweeping = null;
  }

  #startSweeping(): void {
    if (this.#buckets.size > 0) this.#stopSweeping ??= this.#clock.every(SWEEP_EVERY_MS, () => this.#sweep());
  }

  /** So that memory goes back when no request comes any more. */
  #sweep(): void {
    this.#buckets.dropExpired(MAX_SWEPT, this.#clock.now());
    if (this.#buckets.size === 0) this.close();
  }
}

brand(MemoryStore, 'MemoryStore');
