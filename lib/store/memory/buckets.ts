import { randomInt } from 'node:crypto';
import type { BucketState, Rule } from '../../core/algorithms/algorithm.js';
import type { Policy } from '../../core/policy.js';
import { Blocks } from './blocks.js';
import { BucketIndex, type PolicyTable } from './bucket-index.js';
import { type BucketName, EvictionQueue, Heap, type PinnedBucket } from './eviction.js';
import { RowCursor } from './row-cursor.js';
import { ScratchStates } from './scratch-states.js';
import { Slab } from './slab.js';
import { CAPACITY, GENERATION, HEAP_INDEX, LIMIT, NONE, POLICY_TABLE } from './slab-rows.js';

const MAX_EXPIRED_CHECKED = 64;

/**
 * Buckets by policy and identity, never more than `max`. A bucket is a row of numbers, found by its address, which
 * holds until {@link layoutVersion} goes up.
 */
export class Buckets {
  readonly blocks: Blocks;
  readonly #rows = new Slab();
  readonly #index = new BucketIndex();
  /** Every bucket once, by a time at which it may have ended; later charges are found out when that comes. */
  readonly #ends = new Heap<number>((address, index) => this.#rows.set(address, HEAP_INDEX, index));
  readonly #evictionQueue: EvictionQueue;
  /** For what is worked out beside a request. */
  readonly #states = new ScratchStates();
  readonly #row = new RowCursor();
  readonly #rule = { limit: 0, windowMs: 0, capacity: 0 };
  #size = 0;
  /** Begins anywhere, so that what one store has charged another does not give back. */
  #generations = randomInt(2 ** 47);
  #layoutVersion = 0;

  constructor(readonly max: number) {
    // So that there is always something to evict.
    this.blocks = new Blocks(Math.ceil(max / 2));
    this.#evictionQueue = new EvictionQueue(this, max);
  }

  get size(): number {
    return this.#size;
  }

  /** Goes up whenever addresses change, or where rows are kept. */
  get layoutVersion(): number {
    return this.#layoutVersion;
  }

  /** The address of a bucket, or NONE. */
  find(bucketKey: string, identity: string): number {
    return this.#index.find(bucketKey, identity);
  }

  nameOf(address: number): BucketName {
    return { bucketKey: this.#tableOf(address).bucketKey, identity: this.#rows.identityOf(address) };
  }

  /** Tells a bucket from others of its name, before and after. */
  generationOf(address: number): number {
    return this.#rows.get(address, GENERATION);
  }

  /** Has a row stand for a bucket, if there is one: until {@link layoutVersion} goes up. */
  locate(row: RowCursor, bucketKey: string, identity: string): void {
    row.table = this.#index.get(bucketKey, row.table);
    const address = row.table?.addresses.get(identity);
    if (address === undefined) row.address = NONE;
    else this.#rows.moveTo(row, address);
  }

  /** What a bucket holds at `nowMs` under a rule; good until the next call. */
  settled(address: number, rule: Rule, nowMs: number): BucketState {
    return this.#tableOf(address).algorithm.settle(this.stateOf(address), rule, nowMs);
  }

  /** What a bucket held when it was last written; good until the next call. */
  stateOf(address: number): BucketState {
    return this.#rowOf(address).read(this.#states);
  }

  /** The rule that a bucket was last charged under; good until the next call. */
  ruleOf(address: number): Rule {
    this.#rule.limit = this.#rows.get(address, LIMIT);
    this.#rule.capacity = this.#rows.get(address, CAPACITY);
    this.#rule.windowMs = this.#tableOf(address).windowMs;
    return this.#rule;
  }

  /**
   * Keeps what a bucket holds from now on, and the rule it was last charged under, whose limit may change.
   *
   * @returns Its address, which is another one when its state has outgrown its row.
   */
  write(address: number, rule: Rule, state: BucketState): number {
    const fits = state.length <= this.#rows.roomAt(address);
    const kept = fits ? address : this.#grow(address, state.length);
    this.#rowOf(kept).write(rule, state);
    return kept;
  }

  /**
   * A new bucket, for which another one goes when there is no room: one that has ended, else the least
   * charged, never one that is blocked or among `pinned`.
   *
   * @param state What it holds; empty for a block.
   * @returns Its address, or NONE when there is no room.
   */
  create(
    policy: Policy,
    identity: string,
    state: BucketState,
    pinned: readonly PinnedBucket[],
    nowMs: number,
  ): number {
    // Two for one: the buckets that end are gone before they add up.
    this.dropExpired(2, nowMs);
    if (this.#size >= 0.9 * this.max) this.#evictionQueue.scanSome(nowMs);
    if (this.#size >= this.max && !this.#makeRoom(pinned, nowMs)) return NONE;
    const table = this.#index.of(policy);
    const address = this.#rows.add(identity, state.length);
    this.#layoutVersion++;
    this.#rows.set(address, GENERATION, ++this.#generations);
    this.#rows.set(address, POLICY_TABLE, table.id);
    this.#rows.set(address, HEAP_INDEX, NONE);
    this.write(address, policy, state);
    table.addresses.set(identity, address);
    this.#ends.push(this.#endsAtMs(address, state, nowMs), address);
    this.#size++;
    return address;
  }

  delete(address: number): void {
    const index = this.#rows.get(address, HEAP_INDEX);
    if (index !== NONE) this.#ends.remove(index);
    this.blocks.forget(this.generationOf(address));
    this.#index.remove(this.#tableOf(address), this.#rows.identityOf(address));
    this.#size--;
    this.#removeRow(address);
  }

  /** Drops up to `max` buckets that have ended. */
  dropExpired(max: number, nowMs: number): void {
    for (let dropped = 0; dropped < max && this.#ends.lowest <= nowMs; dropped++) {
      const address = this.#ends.pop() as number;
      this.#rows.set(address, HEAP_INDEX, NONE);
      const state = this.settled(address, this.ruleOf(address), nowMs);
      const endsAtMs = this.#endsAtMs(address, state, nowMs);
      if (endsAtMs <= nowMs) this.delete(address);
      else this.#ends.push(endsAtMs, address);
    }
  }

  /**
   * Blocks a bucket.
   *
   * @returns Whether there was room for it.
   */
  block(address: number, untilMs: number, nowMs: number): boolean {
    return this.blocks.block(this.generationOf(address), untilMs, nowMs);
  }

  isBlocked(address: number, nowMs: number): boolean {
    return this.blocks.hasBlocks && this.blocks.untilMs(this.generationOf(address)) > nowMs;
  }

  /** How much of its capacity a bucket uses, from 0 to 1. */
  usageRatio(address: number, nowMs: number): number {
    const rule = this.ruleOf(address);
    const state = this.settled(address, rule, nowMs);
    return this.#tableOf(address).algorithm.used(state, rule, nowMs) / rule.capacity;
  }

  /** The addresses of an identity's buckets, of one scope or of all. */
  *of(identity: string, scope: string | undefined): Iterable<number> {
    for (const table of this.#index) {
      const address = table.addresses.get(identity);
      if (address !== undefined && (scope === undefined || table.scope === scope)) yield address;
    }
  }

  /** All addresses, while buckets come and go; one may be met twice. */
  [Symbol.iterator](): Iterator<number> {
    return this.#rows[Symbol.iterator]();
  }

  clear(): void {
    this.#rows.clear();
    this.#index.clear();
    this.#ends.clear();
    this.blocks.clear();
    this.#evictionQueue.clear();
    this.#size = 0;
    this.#layoutVersion++;
  }

  #rowOf(address: number): RowCursor {
    this.#rows.moveTo(this.#row, address);
    return this.#row;
  }

  #tableOf(address: number): PolicyTable {
    return this.#index.byId(this.#rows.get(address, POLICY_TABLE));
  }

  /** When nothing is left to remember of a bucket that holds `state`. */
  #endsAtMs(address: number, state: BucketState, nowMs: number): number {
    const { algorithm } = this.#tableOf(address);
    const fullAtMs = nowMs + algorithm.resetMs(state, this.ruleOf(address), nowMs);
    return Math.max(fullAtMs, this.blocks.endsAtMs(this.generationOf(address)));
  }

  /** Moves a bucket to where a state of `length` fits, and gives its new address. */
  #grow(address: number, length: number): number {
    const moved = this.#rows.copyFor(address, length);
    this.#hasMoved(moved);
    this.#removeRow(address);
    return moved;
  }

  #removeRow(address: number): void {
    this.#layoutVersion++;
    if (this.#rows.remove(address)) this.#hasMoved(address);
  }

  #hasMoved(address: number): void {
    this.#tableOf(address).addresses.set(this.#rows.identityOf(address), address);
    const index = this.#rows.get(address, HEAP_INDEX);
    if (index !== NONE) this.#ends.replace(index, address);
  }

  #makeRoom(pinned: readonly PinnedBucket[], nowMs: number): boolean {
    // Not all that may have ended: those charged again meanwhile are as many as anybody likes.
    this.dropExpired(MAX_EXPIRED_CHECKED, nowMs);
    if (this.#size < this.max) return true;
    const victim = this.#evictionQueue.evict(pinned, nowMs);
    if (victim !== NONE) this.delete(victim);
    return victim !== NONE;
  }
}
