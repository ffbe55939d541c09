import { randomInt } from 'node:crypto';
import type { BucketState, Rule } from '../../core/algorithms/algorithm.js';
import type { Policy } from '../../core/policy.js';
import { Blocks } from './blocks.js';
import { BucketIndex, NONE, type PolicyTable } from './bucket-index.js';
import { type BucketName, EvictionQueue, Heap, type PinnedBucket } from './eviction.js';
import { RowCursor, ScratchStates } from './row-cursor.js';
import { Slab } from './slab.js';

/** Buckets that may have expired and are checked before another one is evicted. */
const MAX_EXPIRED_CHECKED = 64;

/** Keeps at most `max` buckets, found by policy and identity. An address is valid until {@link layoutVersion} changes. */
export class Buckets {
  readonly blocks: Blocks;
  readonly #slab = new Slab();
  readonly #index = new BucketIndex();
  /**
   * The address of every bucket, ordered by the earliest time at which it can have expired; whether it has been
   * charged since is checked then.
   */
  readonly #expiries = new Heap<number>((address, index) => this.#slab.setHeapIndex(address, index));
  readonly #evictionQueue: EvictionQueue;
  // Reused by every call.
  readonly #states = new ScratchStates();
  readonly #row = new RowCursor();
  readonly #rule = { limit: 0, windowMs: 0, capacity: 0 };
  #size = 0;
  /** Starts at random, so that no store refunds what another one has charged. */
  #generations = randomInt(2 ** 47);
  #layoutVersion = 0;

  constructor(readonly max: number) {
    // Leaves buckets that can be evicted.
    this.blocks = new Blocks(Math.ceil(max / 2));
    this.#evictionQueue = new EvictionQueue(this, max);
  }

  get size(): number {
    return this.#size;
  }

  /** Changes whenever rows are added, moved or removed. */
  get layoutVersion(): number {
    return this.#layoutVersion;
  }

  /** Returns the address of a bucket, or NONE. */
  find(bucketKey: string, identity: string): number {
    return this.#index.find(bucketKey, identity);
  }

  nameOf(address: number): BucketName {
    return { bucketKey: this.#tableOf(address).bucketKey, identity: this.#slab.identityOf(address) };
  }

  /** Identifies a bucket among all that have had its key. */
  generationOf(address: number): number {
    return this.#rowAt(address).generation;
  }

  /** Moves a cursor to a bucket, if it exists. It stays valid until {@link layoutVersion} changes. */
  locate(cursor: RowCursor, bucketKey: string, identity: string): void {
    cursor.table = this.#index.get(bucketKey, cursor.table);
    const address = cursor.table?.addresses.get(identity);
    if (address === undefined) cursor.address = NONE;
    else this.#slab.moveTo(cursor, address);
  }

  /** Returns a bucket's state at `nowMs` under a rule; valid until the next call. */
  settled(address: number, rule: Rule, nowMs: number): BucketState {
    return this.#tableOf(address).algorithm.settle(this.stateOf(address), rule, nowMs);
  }

  /** Returns a bucket's state as it was written last; valid until the next call. */
  stateOf(address: number): BucketState {
    return this.#rowAt(address).read(this.#states);
  }

  /** Returns the rule that a bucket was last charged under; valid until the next call. */
  ruleOf(address: number): Rule {
    this.#rowAt(address).readRule(this.#rule);
    this.#rule.windowMs = this.#tableOf(address).windowMs;
    return this.#rule;
  }

  /**
   * Writes a bucket's state, and the rule it was charged under, whose limit may change.
   *
   * @returns Its address, which changes when the state has outgrown its row.
   */
  write(address: number, rule: Rule, state: BucketState): number {
    const fits = state.length <= this.#rowAt(address).maxLength;
    const target = fits ? address : this.#grow(address, state.length);
    this.#rowAt(target).write(rule, state);
    return target;
  }

  /** Makes room for a state of `length` in the row of a bucket, and moves the cursor to the row. */
  makeRoomIn(cursor: RowCursor, length: number): void {
    if (length > cursor.maxLength) this.#slab.moveTo(cursor, this.#grow(cursor.address, length));
  }

  /**
   * Creates a bucket. If the store is full, another one is removed: one that has expired, otherwise the least
   * charged, but never one that is blocked or among `pinned`.
   *
   * @param state Its state; empty for a block.
   * @returns Its address, or NONE if there is no room.
   */
  create(
    policy: Policy,
    identity: string,
    state: BucketState,
    pinned: readonly PinnedBucket[],
    nowMs: number,
  ): number {
    // Two for each new one: expired buckets are removed faster than they can pile up.
    this.dropExpired(2, nowMs);
    if (this.#size >= 0.9 * this.max) this.#evictionQueue.scanSome(nowMs);
    if (this.#size >= this.max && !this.#makeRoom(pinned, nowMs)) return NONE;
    const table = this.#index.getOrCreate(policy);
    const address = this.#slab.add(identity, state.length);
    this.#layoutVersion++;
    this.#rowAt(address).initialize(++this.#generations, table.id);
    this.write(address, policy, state);
    table.addresses.set(identity, address);
    this.#expiries.push(this.#expiresAtMs(address, state, nowMs), address);
    this.#size++;
    return address;
  }

  delete(address: number): void {
    const { heapIndex, generation } = this.#rowAt(address);
    if (heapIndex !== NONE) this.#expiries.remove(heapIndex);
    this.blocks.forget(generation);
    this.#index.remove(this.#tableOf(address), this.#slab.identityOf(address));
    this.#size--;
    this.#removeRow(address);
  }

  /** Drops up to `max` buckets that have expired. */
  dropExpired(max: number, nowMs: number): void {
    for (let checked = 0; checked < max && this.#expiries.lowest <= nowMs; checked++) {
      const address = this.#expiries.pop() as number;
      this.#slab.setHeapIndex(address, NONE);
      const state = this.settled(address, this.ruleOf(address), nowMs);
      const expiresAtMs = this.#expiresAtMs(address, state, nowMs);
      if (expiresAtMs <= nowMs) this.delete(address);
      else this.#expiries.push(expiresAtMs, address);
    }
  }

  /**
   * Blocks a bucket from now on.
   *
   * @returns True if there was room for another block.
   */
  block(address: number, durationMs: number, nowMs: number): boolean {
    return this.blocks.block(this.generationOf(address), durationMs, nowMs);
  }

  isBlocked(address: number, nowMs: number): boolean {
    return this.blocks.hasBlocks && this.blocks.untilMs(this.generationOf(address), nowMs) > nowMs;
  }

  /** Returns the used share of a bucket's capacity, from 0 to 1. */
  usageRatio(address: number, nowMs: number): number {
    const rule = this.ruleOf(address);
    const state = this.settled(address, rule, nowMs);
    return this.#tableOf(address).algorithm.used(state, rule, nowMs) / rule.capacity;
  }

  /** Finds the buckets of an identity, under one scope or under all. */
  *of(identity: string, scope: string | undefined): Iterable<number> {
    for (const table of this.#index) {
      const address = table.addresses.get(identity);
      if (address !== undefined && (scope === undefined || table.scope === scope)) yield address;
    }
  }

  /** Iterates over all addresses while buckets come and go; one may be returned twice. */
  [Symbol.iterator](): Iterator<number> {
    return this.#slab[Symbol.iterator]();
  }

  clear(): void {
    this.#slab.clear();
    this.#index.clear();
    this.#expiries.clear();
    this.blocks.clear();
    this.#evictionQueue.clear();
    this.#size = 0;
    this.#layoutVersion++;
  }

  #rowAt(address: number): RowCursor {
    this.#slab.moveTo(this.#row, address);
    return this.#row;
  }

  #tableOf(address: number): PolicyTable {
    return this.#index.byId(this.#rowAt(address).tableId);
  }

  /** Returns when nothing of a bucket has to be remembered any more. */
  #expiresAtMs(address: number, state: BucketState, nowMs: number): number {
    const { algorithm } = this.#tableOf(address);
    const fullAtMs = nowMs + algorithm.resetMs(state, this.ruleOf(address), nowMs);
    return Math.max(fullAtMs, this.blocks.endsAtMs(this.generationOf(address)));
  }

  /** Moves a bucket to a row with room for a state of `length` and returns its new address. */
  #grow(address: number, length: number): number {
    const copy = this.#slab.copyFor(address, length);
    this.#onMove(copy);
    this.#removeRow(address);
    return copy;
  }

  #removeRow(address: number): void {
    this.#layoutVersion++;
    if (this.#slab.remove(address)) this.#onMove(address);
  }

  /** Tells the index and the heap the new address of a bucket. */
  #onMove(address: number): void {
    this.#tableOf(address).addresses.set(this.#slab.identityOf(address), address);
    const { heapIndex } = this.#rowAt(address);
    if (heapIndex !== NONE) this.#expiries.replace(heapIndex, address);
  }

  #makeRoom(pinned: readonly PinnedBucket[], nowMs: number): boolean {
    // Checks only a few: any number of buckets may have been charged again since they were queued.
    this.dropExpired(MAX_EXPIRED_CHECKED, nowMs);
    if (this.#size < this.max) return true;
    const victim = this.#evictionQueue.evict(pinned, nowMs);
    if (victim !== NONE) this.delete(victim);
    return victim !== NONE;
  }
}
