import type { Policy } from '../../core/policy.js';
import { Bucket } from './bucket.js';
import { Heap } from './heap.js';
import { Victims } from './victims.js';

const LOOKS_FOR_ENDED = 64;

/**
 * Buckets by policy and identity, never more than `max`. One table a policy, keyed by the identity
 * alone: the key of a request's limits is then one string, hashed once.
 */
export class Buckets {
  readonly #tables = new Map<string, Map<string, Bucket>>();
  /** Every bucket once, by a time at which it may have ended; later charges are found out when that comes. */
  readonly #ends = new Heap<Bucket>((bucket, at) => {
    bucket.placeAmongEnds = at;
  });
  readonly #victims: Victims;
  /** Every bucket that was blocked and may still be. */
  readonly #blocked = new Set<Bucket>();
  /** No block ends before then. */
  #nextUnblockMs = Number.POSITIVE_INFINITY;
  #size = 0;

  constructor(readonly max: number) {
    this.#victims = new Victims(this, max);
  }

  get size(): number {
    return this.#size;
  }

  get(policy: Policy, identity: string): Bucket | undefined {
    return this.#tables.get(policy.tail)?.get(identity);
  }

  /**
   * A new bucket, for which another one goes when there is no room: one that has ended, else the least
   * charged, never one that is blocked or among `held`; undefined when there is none of those.
   */
  create(
    policy: Policy,
    identity: string,
    held: readonly (Bucket | undefined)[],
    nowMs: number,
  ): Bucket | undefined {
    // Two for one: the buckets that end are gone before they add up.
    this.dropEnded(2, nowMs);
    if (this.#size >= 0.9 * this.max) this.#victims.prepare(nowMs);
    if (this.#size >= this.max && !this.#makeRoom(held, nowMs)) return undefined;
    const bucket = new Bucket(policy, identity);
    let table = this.#tables.get(policy.tail);
    if (table === undefined) {
      table = new Map();
      this.#tables.set(policy.tail, table);
    }
    table.set(identity, bucket);
    this.#size++;
    return bucket;
  }

  /** To be called once for a new bucket, as soon as it holds its first charge or block. */
  watch(bucket: Bucket, nowMs: number): void {
    this.#ends.push(bucket.endsAtMs(nowMs), bucket);
  }

  delete(bucket: Bucket): void {
    const table = this.#tables.get(bucket.policy.tail);
    if (table?.get(bucket.identity) !== bucket) return;
    table.delete(bucket.identity);
    this.#blocked.delete(bucket);
    if (bucket.placeAmongEnds >= 0) this.#ends.remove(bucket.placeAmongEnds);
    this.#size--;
    if (table.size === 0) this.#tables.delete(bucket.policy.tail);
  }

  /** Whether any bucket may be blocked. */
  get anyBlocked(): boolean {
    return this.#blocked.size > 0;
  }

  /**
   * Blocks a bucket. Blocks take at most half of the room, so that there is always something to evict.
   *
   * @returns Whether there was room for it.
   */
  block(bucket: Bucket, untilMs: number, nowMs: number): boolean {
    if (!this.#blocked.has(bucket) && !this.#hasRoomForBlock(nowMs)) return false;
    this.#blocked.add(bucket);
    this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    bucket.blockedUntilMs = untilMs;
    return true;
  }

  unblock(bucket: Bucket): void {
    bucket.unblock();
    this.#blocked.delete(bucket);
  }

  /** Drops up to `most` buckets that have ended. */
  dropEnded(most: number, nowMs: number): void {
    for (let dropped = 0; dropped < most && this.#ends.lowest <= nowMs; dropped++) {
      const bucket = this.#ends.pop() as Bucket;
      bucket.placeAmongEnds = -1;
      bucket.settle(nowMs);
      const endsAtMs = bucket.endsAtMs(nowMs);
      if (endsAtMs <= nowMs) this.delete(bucket);
      else this.#ends.push(endsAtMs, bucket);
    }
  }

  /** The identity's buckets, of one scope or of all. */
  *of(identity: string, scope: string | undefined): Iterable<Bucket> {
    for (const table of this.#tables.values()) {
      const bucket = table.get(identity);
      if (bucket !== undefined && (scope === undefined || bucket.policy.scope === scope)) yield bucket;
    }
  }

  *[Symbol.iterator](): Iterator<Bucket> {
    for (const table of this.#tables.values()) yield* table.values();
  }

  clear(): void {
    this.#tables.clear();
    this.#ends.clear();
    this.#blocked.clear();
    this.#victims.clear();
    this.#size = 0;
  }

  #holds(bucket: Bucket): boolean {
    return this.get(bucket.policy, bucket.identity) === bucket;
  }

  #hasRoomForBlock(nowMs: number): boolean {
    const most = Math.ceil(this.max / 2);
    if (this.#blocked.size < most || nowMs < this.#nextUnblockMs) return this.#blocked.size < most;
    this.#nextUnblockMs = Number.POSITIVE_INFINITY;
    for (const bucket of this.#blocked) {
      if (bucket.blockedUntilMs <= nowMs) this.#blocked.delete(bucket);
      else this.#nextUnblockMs = Math.min(this.#nextUnblockMs, bucket.blockedUntilMs);
    }
    return this.#blocked.size < most;
  }

  #makeRoom(held: readonly (Bucket | undefined)[], nowMs: number): boolean {
    // Not all that may have ended: those charged again meanwhile are as many as anybody likes.
    this.dropEnded(LOOKS_FOR_ENDED, nowMs);
    if (this.#size < this.max) return true;
    const mayGo = (bucket: Bucket) =>
      this.#holds(bucket) && !held.includes(bucket) && bucket.blockedUntilMs <= nowMs;
    const victim = this.#victims.take(mayGo, nowMs);
    if (victim !== undefined) this.delete(victim);
    return victim !== undefined;
  }
}
