import type { Policy } from '../../core/policy.js';
import { Bucket } from './bucket.js';
import { Heap } from './heap.js';

/** How many buckets are chosen for eviction in one walk over all of them. */
const VICTIMS_A_WALK = 1_024;

/**
 * Buckets by policy and identity, never more than `max`. One table a policy, keyed by the identity
 * alone: the key of a request's limits is then one string, hashed once.
 */
export class Buckets {
  readonly #tables = new Map<string, Map<string, Bucket>>();
  /** Every bucket once, by a time at which it may have ended; later charges are found out when that comes. */
  readonly #ends = new Heap<Bucket>();
  /** Buckets to evict next, the least charged last. */
  #victims: Bucket[] = [];
  #victimShare = 0;
  /** Every block once, by its end. */
  readonly #blocks = new Heap<Bucket>();
  #size = 0;

  constructor(readonly max: number) {}

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
    // Buckets that were reset leave their entry behind: start over before those add up.
    if (this.#ends.size > 2 * this.#size + 1_024) {
      this.#ends.clear();
      for (const other of this) this.#ends.push(other.endsAtMs(nowMs), other);
    } else {
      this.#ends.push(bucket.endsAtMs(nowMs), bucket);
    }
  }

  delete(bucket: Bucket): void {
    const table = this.#tables.get(bucket.policy.tail);
    if (table?.get(bucket.identity) !== bucket) return;
    table.delete(bucket.identity);
    this.#size--;
    if (table.size === 0) this.#tables.delete(bucket.policy.tail);
  }

  /**
   * Blocks a bucket. Blocks take at most half of the room, so that there is always something to evict.
   *
   * @returns Whether there was room for it.
   */
  block(bucket: Bucket, untilMs: number, nowMs: number): boolean {
    while (this.#blocks.lowest <= nowMs) this.#blocks.pop();
    if (this.#blocks.size >= Math.ceil(this.max / 2)) return false;
    this.#blocks.push(untilMs, bucket);
    bucket.blockedUntilMs = untilMs;
    return true;
  }

  /** Drops up to `most` buckets that have ended. */
  dropEnded(most: number, nowMs: number): void {
    for (let dropped = 0; dropped < most && this.#ends.lowest <= nowMs; dropped++) {
      const bucket = this.#ends.pop() as Bucket;
      if (!this.#holds(bucket)) continue;
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
    this.#blocks.clear();
    this.#victims = [];
    this.#size = 0;
  }

  #holds(bucket: Bucket): boolean {
    return this.get(bucket.policy, bucket.identity) === bucket;
  }

  #makeRoom(held: readonly (Bucket | undefined)[], nowMs: number): boolean {
    this.dropEnded(Number.POSITIVE_INFINITY, nowMs);
    if (this.#size < this.max) return true;
    if (this.#evict(held, nowMs)) return true;
    this.#chooseVictims(held, nowMs);
    return this.#evict(held, nowMs);
  }

  #evict(held: readonly (Bucket | undefined)[], nowMs: number): boolean {
    for (let bucket = this.#victims.pop(); bucket !== undefined; bucket = this.#victims.pop()) {
      if (!this.#holds(bucket) || held.includes(bucket) || bucket.blockedUntilMs > nowMs) continue;
      bucket.settle(nowMs);
      if (bucket.share(nowMs) > this.#victimShare) continue;
      this.delete(bucket);
      return true;
    }
    return false;
  }

  /** Finds the least charged of all buckets, so many at once that a walk over all pays for itself. */
  #chooseVictims(held: readonly (Bucket | undefined)[], nowMs: number): void {
    const most = Math.min(VICTIMS_A_WALK, Math.ceil(this.max / 64));
    const least = new Heap<Bucket>();
    for (const bucket of this) {
      if (bucket.blockedUntilMs > nowMs || held.includes(bucket)) continue;
      bucket.settle(nowMs);
      const share = bucket.share(nowMs);
      if (least.size === most) {
        if (share >= -least.lowest) continue;
        least.pop();
      }
      least.push(-share, bucket);
    }
    this.#victimShare = least.size === 0 ? 0 : -least.lowest;
    this.#victims = [];
    for (let bucket = least.pop(); bucket !== undefined; bucket = least.pop()) this.#victims.push(bucket);
  }
}
