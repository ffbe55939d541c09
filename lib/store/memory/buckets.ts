import { randomInt } from 'node:crypto';
import type { Rule, State } from '../../core/algorithms/algorithm.js';
import type { Policy } from '../../core/policy.js';
import { Blocks } from './blocks.js';
import { Heap } from './heap.js';
import { Row } from './row.js';
import { BIRTH, CAPACITY, LIMIT, NONE, PLACE, TABLE } from './shelf.js';
import { Shelves } from './shelves.js';
import { States } from './states.js';
import { type Table, Tables } from './tables.js';
import { type BucketName, type Held, Victims } from './victims.js';

const LOOKS_FOR_ENDED = 64;

/**
 * Buckets by policy and identity, never more than `max`. A bucket is a row of numbers, found by its address, which
 * holds until {@link changes} goes up.
 */
export class Buckets {
  readonly blocks: Blocks;
  readonly #rows = new Shelves();
  readonly #tables = new Tables();
  /** Every bucket once, by a time at which it may have ended; later charges are found out when that comes. */
  readonly #ends = new Heap<number>((address, place) => this.#rows.set(address, PLACE, place));
  readonly #victims: Victims;
  /** For what is worked out beside a request. */
  readonly #states = new States();
  readonly #row = new Row();
  readonly #rule = { limit: 0, windowMs: 0, capacity: 0 };
  #size = 0;
  /** Begins anywhere, so that what one store has charged another does not give back. */
  #births = randomInt(2 ** 47);
  #changes = 0;

  constructor(readonly max: number) {
    // So that there is always something to evict.
    this.blocks = new Blocks(Math.ceil(max / 2));
    this.#victims = new Victims(this, max);
  }

  get size(): number {
    return this.#size;
  }

  /** Goes up whenever addresses change, or where rows are kept. */
  get changes(): number {
    return this.#changes;
  }

  /** The address of a bucket, or NONE. */
  find(tail: string, identity: string): number {
    return this.#tables.find(tail, identity);
  }

  nameOf(address: number): BucketName {
    return { tail: this.#tableOf(address).tail, identity: this.#rows.identityOf(address) };
  }

  /** Tells a bucket from others of its name, before and after. */
  birthOf(address: number): number {
    return this.#rows.get(address, BIRTH);
  }

  /** Has a row stand for a bucket, if there is one: until {@link changes} goes up. */
  locate(row: Row, tail: string, identity: string): void {
    row.table = this.#tables.get(tail, row.table);
    const address = row.table?.addresses.get(identity);
    if (address === undefined) row.address = NONE;
    else this.#rows.point(row, address);
  }

  /** What a bucket holds at `nowMs` under a rule; good until the next call. */
  settled(address: number, rule: Rule, nowMs: number): State {
    return this.#tableOf(address).algorithm.settle(this.stateOf(address), rule, nowMs);
  }

  /** What a bucket held when it was last written; good until the next call. */
  stateOf(address: number): State {
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
  write(address: number, rule: Rule, state: State): number {
    const fits = state.length <= this.#rows.roomAt(address);
    const kept = fits ? address : this.#moveUp(address, state.length);
    this.#rowOf(kept).write(rule, state);
    return kept;
  }

  /**
   * A new bucket, for which another one goes when there is no room: one that has ended, else the least
   * charged, never one that is blocked or among `held`.
   *
   * @param state What it holds; empty for a block.
   * @returns Its address, or NONE when there is no room.
   */
  create(policy: Policy, identity: string, state: State, held: readonly Held[], nowMs: number): number {
    // Two for one: the buckets that end are gone before they add up.
    this.dropEnded(2, nowMs);
    if (this.#size >= 0.9 * this.max) this.#victims.prepare(nowMs);
    if (this.#size >= this.max && !this.#makeRoom(held, nowMs)) return NONE;
    const table = this.#tables.of(policy);
    const address = this.#rows.add(identity, state.length);
    this.#changes++;
    this.#rows.set(address, BIRTH, ++this.#births);
    this.#rows.set(address, TABLE, table.id);
    this.#rows.set(address, PLACE, NONE);
    this.write(address, policy, state);
    table.addresses.set(identity, address);
    this.#ends.push(this.#endsAtMs(address, state, nowMs), address);
    this.#size++;
    return address;
  }

  delete(address: number): void {
    const place = this.#rows.get(address, PLACE);
    if (place !== NONE) this.#ends.remove(place);
    this.blocks.forget(this.birthOf(address));
    this.#tables.remove(this.#tableOf(address), this.#rows.identityOf(address));
    this.#size--;
    this.#removeRow(address);
  }

  /** Drops up to `most` buckets that have ended. */
  dropEnded(most: number, nowMs: number): void {
    for (let dropped = 0; dropped < most && this.#ends.lowest <= nowMs; dropped++) {
      const address = this.#ends.pop() as number;
      this.#rows.set(address, PLACE, NONE);
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
    return this.blocks.block(this.birthOf(address), untilMs, nowMs);
  }

  isBlocked(address: number, nowMs: number): boolean {
    return this.blocks.any && this.blocks.untilMs(this.birthOf(address)) > nowMs;
  }

  /** How much of its capacity a bucket uses, from 0 to 1. */
  share(address: number, nowMs: number): number {
    const rule = this.ruleOf(address);
    const state = this.settled(address, rule, nowMs);
    return this.#tableOf(address).algorithm.used(state, rule, nowMs) / rule.capacity;
  }

  /** The addresses of an identity's buckets, of one scope or of all. */
  *of(identity: string, scope: string | undefined): Iterable<number> {
    for (const table of this.#tables) {
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
    this.#tables.clear();
    this.#ends.clear();
    this.blocks.clear();
    this.#victims.clear();
    this.#size = 0;
    this.#changes++;
  }

  #rowOf(address: number): Row {
    this.#rows.point(this.#row, address);
    return this.#row;
  }

  #tableOf(address: number): Table {
    return this.#tables.byId(this.#rows.get(address, TABLE));
  }

  /** When nothing is left to remember of a bucket that holds `state`. */
  #endsAtMs(address: number, state: State, nowMs: number): number {
    const { algorithm } = this.#tableOf(address);
    const fullAtMs = nowMs + algorithm.resetMs(state, this.ruleOf(address), nowMs);
    return Math.max(fullAtMs, this.blocks.endsAtMs(this.birthOf(address)));
  }

  /** Moves a bucket to where a state of `length` fits, and gives its new address. */
  #moveUp(address: number, length: number): number {
    const moved = this.#rows.copyFor(address, length);
    this.#hasMoved(moved);
    this.#removeRow(address);
    return moved;
  }

  #removeRow(address: number): void {
    this.#changes++;
    if (this.#rows.remove(address)) this.#hasMoved(address);
  }

  #hasMoved(address: number): void {
    this.#tableOf(address).addresses.set(this.#rows.identityOf(address), address);
    const place = this.#rows.get(address, PLACE);
    if (place !== NONE) this.#ends.replace(place, address);
  }

  #makeRoom(held: readonly Held[], nowMs: number): boolean {
    // Not all that may have ended: those charged again meanwhile are as many as anybody likes.
    this.dropEnded(LOOKS_FOR_ENDED, nowMs);
    if (this.#size < this.max) return true;
    const victim = this.#victims.take(held, nowMs);
    if (victim !== NONE) this.delete(victim);
    return victim !== NONE;
  }
}
