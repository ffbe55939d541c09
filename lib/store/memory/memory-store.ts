import { EMPTY_STATE } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import { brand } from '../../core/brand.js';
import { type Clock, systemClock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';
import { isInteger, type OptionRules, validateOptions } from '../../core/validate.js';
import type { Store, StoreReply, StoreTarget } from '../store.js';
import { NONE } from './bucket-index.js';
import { Buckets } from './buckets.js';
import { Evaluator, IDENTITY_BLOCK } from './evaluator.js';

/** A memory store has no room for another block. */
export class StoreFullError extends RangeError {
  override readonly name = 'StoreFullError';
}

/** Settings of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /**
   * Maximum number of buckets, one for each identity under each limit; 1 or more, default 250,000. A full store
   * first removes buckets that have expired, then the least charged, never those that are blocked.
   * A bucket takes about 150 bytes; under `sliding-window` 180 with one charge and up to 700 with many.
   */
  readonly maxBuckets?: number | undefined;
  /** Default: the clock of this process. */
  readonly clock?: Clock | undefined;
}

const DEFAULT_MAX_BUCKETS = 250_000;
const SWEEP_EVERY_MS = 1_000;
const MAX_SWEPT = 10_000;

const RULES: OptionRules<keyof MemoryStoreOptions> = {
  maxBuckets: {
    accepts: isInteger(1, Number.MAX_SAFE_INTEGER),
    fix: 'Give a whole number, 1 or more; a bucket takes 150 to 1,700 bytes.',
  },
  clock: null,
};

/**
 * Keeps buckets in the memory of this process and decides synchronously. The default store.
 *
 * @throws RateLimitConfigError `bad-option` if `maxBuckets` is not a whole number of 1 or more.
 * @example
 * RateLimitModule.forRoot({ store: new MemoryStore({ maxBuckets: 1_000_000 }), scopes: { login: '5/15min' } });
 */
export class MemoryStore implements Store {
  readonly name: string = 'memory';
  readonly #clock: Clock;
  readonly #buckets: Buckets;
  readonly #evaluator: Evaluator;
  #stopSweeping: (() => void) | null = null;

  constructor(options: MemoryStoreOptions = {}) {
    validateOptions(options, RULES, 'MemoryStore');
    const { maxBuckets = DEFAULT_MAX_BUCKETS, clock = systemClock } = options;
    this.#clock = clock;
    this.#buckets = new Buckets(maxBuckets);
    this.#evaluator = new Evaluator(this.#buckets);
  }

  /** Number of buckets that it holds now. */
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
      // The bucket that was charged is gone: reset, evicted or expired.
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
    const existing = this.#buckets.find(IDENTITY_BLOCK.bucketKey, identity);
    const address =
      existing === NONE ? this.#buckets.create(IDENTITY_BLOCK, identity, EMPTY_STATE, [], nowMs) : existing;
    const isBlocked = address !== NONE && this.#buckets.block(address, forMs, nowMs);
    if (isBlocked) {
      this.#startSweeping();
      return;
    }
    if (address !== NONE && existing === NONE) this.#buckets.delete(address);
    throw new StoreFullError(
      `MemoryStore has no room for another block: blocks already take half of its ${this.#buckets.max} buckets. Unblock others, or raise maxBuckets.`,
    );
  }

  unblock(identity: string): void {
    const whole = this.#buckets.find(IDENTITY_BLOCK.bucketKey, identity);
    if (whole !== NONE) this.#buckets.delete(whole);
    for (const address of this.#buckets.of(identity, undefined)) {
      this.#buckets.blocks.forget(this.#buckets.generationOf(address));
    }
  }

  /** @internal */
  has({ bucketKey }: Policy, identity: string): boolean {
    return this.#buckets.find(bucketKey, identity) !== NONE;
  }

  /** @internal Removes a bucket. */
  drop({ bucketKey }: Policy, identity: string): void {
    const address = this.#buckets.find(bucketKey, identity);
    if (address !== NONE) this.#buckets.delete(address);
  }

  /**
   * Merges usage known from another store into a bucket, which then counts at least that.
   *
   * @internal
   * @param used Units, charged at `chargedAtMs` by the clock of this store.
   */
  seed(policy: Policy, identity: string, used: number, chargedAtMs: number, blockedUntilMs: number): void {
    const nowMs = this.#clock.now();
    const algorithm = ALGORITHMS[policy.algorithm];
    const charged = used === 0 ? EMPTY_STATE : algorithm.charge(EMPTY_STATE, policy, used, chargedAtMs);
    const state = algorithm.settle(charged, policy, nowMs);
    const isBlocked = blockedUntilMs > nowMs;
    if (state === EMPTY_STATE && !isBlocked) return;
    const existing = this.#buckets.find(policy.bucketKey, identity);
    let address: number;
    if (existing === NONE) address = this.#buckets.create(policy, identity, state, [], nowMs);
    else {
      const before = this.#buckets.settled(existing, policy, nowMs);
      address = this.#buckets.write(existing, policy, algorithm.merge(before, state, policy, nowMs));
    }
    if (address === NONE) return;
    const untilMs = this.#buckets.blocks.untilMs(this.#buckets.generationOf(address), nowMs);
    if (blockedUntilMs > Math.max(untilMs, nowMs))
      this.#buckets.block(address, blockedUntilMs - nowMs, nowMs);
    this.#startSweeping();
  }

  /** Removes all buckets and blocks, for use between tests. */
  clear(): void {
    this.#buckets.clear();
    this.close();
  }

  /** Stops the timer; the next decision starts it again. */
  close(): void {
    this.#stopSweeping?.();
    this.#stopSweeping = null;
  }

  #startSweeping(): void {
    if (this.#buckets.size > 0) this.#stopSweeping ??= this.#clock.every(SWEEP_EVERY_MS, () => this.#sweep());
  }

  /** Releases memory when no more requests come. */
  #sweep(): void {
    this.#buckets.dropExpired(MAX_SWEPT, this.#clock.now());
    if (this.#buckets.size === 0) this.close();
  }
}

brand(MemoryStore, 'MemoryStore');
