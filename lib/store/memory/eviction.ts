import type { Charge } from '../../core/decision.js';
import { NONE } from './slab-rows.js';

/** What stands for a bucket as long as it is there. */
export interface BucketName {
  readonly bucketKey: string;
  readonly identity: string;
}

/** A bucket that may not go. */
export type PinnedBucket = Pick<Charge, 'policy' | 'identity'>;

/** Buckets by addresses that hold for a moment only. */
interface Candidates extends Iterable<number> {
  /** The address of a bucket, or NONE. */
  find(bucketKey: string, identity: string): number;
  nameOf(address: number): BucketName;
  isBlocked(address: number, nowMs: number): boolean;
  /** How much of its capacity it uses, from 0 to 1. */
  usageRatio(address: number, nowMs: number): number;
}

/**
 * Finds the least charged of many buckets, a few at each call, so that no single request pays for a walk
 * over all of them. A walk ends with its finds; while they are used up, the next one is under way.
 */
export class EvictionQueue {
  /** How many buckets one walk finds. */
  readonly #maxFound: number;
  /** How many it looks at for each new bucket: two walks while the finds of one last. */
  readonly #stride: number;
  /** The finds of the last walk, the least charged last, and the share of the most charged of them. */
  #found: BucketName[] = [];
  #foundRatio = 0;
  /** The walk that is under way. */
  #walk: Iterator<number> | null = null;
  #least = new Heap<BucketName>();

  constructor(
    readonly buckets: Candidates,
    maxBuckets: number,
  ) {
    this.#maxFound = Math.ceil(maxBuckets / 32);
    this.#stride = Math.ceil((2 * maxBuckets) / this.#maxFound);
  }

  /** Looks at some more buckets. To be called for each new one once there is little room. */
  scanSome(nowMs: number): void {
    this.#scan(this.#stride, [], nowMs);
  }

  /** The address of the least charged bucket that is neither blocked nor held; NONE when there is none. */
  evict(pinned: readonly PinnedBucket[], nowMs: number): number {
    const victim = this.#next(pinned, nowMs);
    if (victim !== NONE) return victim;
    // The last finds are used up or out of date: finish the walk, and another one when that began too early, or has
    // found none but those that are held.
    for (let walks = 0; walks < 2; walks++) {
      this.#scan(Number.POSITIVE_INFINITY, pinned, nowMs);
      const found = this.#next(pinned, nowMs);
      if (found !== NONE) return found;
    }
    return NONE;
  }

  clear(): void {
    this.#found = [];
    this.#walk = null;
    this.#least = new Heap();
  }

  #next(pinned: readonly PinnedBucket[], nowMs: number): number {
    for (let name = this.#found.pop(); name !== undefined; name = this.#found.pop()) {
      const address = this.buckets.find(name.bucketKey, name.identity);
      if (address === NONE || this.buckets.isBlocked(address, nowMs) || isAmong(pinned, name)) continue;
      if (this.buckets.usageRatio(address, nowMs) <= this.#foundRatio) return address;
    }
    return NONE;
  }

  /** Looks at up to `count` buckets, and no further than to the end of a walk. */
  #scan(count: number, pinned: readonly PinnedBucket[], nowMs: number): void {
    this.#walk ??= this.buckets[Symbol.iterator]();
    for (let looked = 0; looked < count; looked++) {
      const { value: address, done } = this.#walk.next();
      if (done === true) {
        this.#finishScan();
        return;
      }
      this.#consider(address, pinned, nowMs);
    }
  }

  #consider(address: number, pinned: readonly PinnedBucket[], nowMs: number): void {
    if (this.buckets.isBlocked(address, nowMs)) return;
    const usageRatio = this.buckets.usageRatio(address, nowMs);
    const isFull = this.#least.size === this.#maxFound;
    if (isFull && usageRatio >= -this.#least.lowest) return;
    const name = this.buckets.nameOf(address);
    if (isAmong(pinned, name)) return;
    if (isFull) this.#least.pop();
    this.#least.push(-usageRatio, name);
  }

  #finishScan(): void {
    const least = this.#least;
    this.#foundRatio = least.size === 0 ? 0 : -least.lowest;
    this.#found = [];
    for (let name = least.pop(); name !== undefined; name = least.pop()) this.#found.push(name);
    this.#walk = null;
  }
}

const isAmong = (pinned: readonly PinnedBucket[], { bucketKey, identity }: BucketName): boolean =>
  pinned.some((other) => other.identity === identity && other.policy.bucketKey === bucketKey);

/** A binary min-heap of items by a number, in two plain arrays. */
export class Heap<T> {
  #keys: number[] = [];
  #items: T[] = [];
  /** The largest size since the arrays were last copied. */
  #peak = 0;

  /** @param onMove Hears where an item comes to stand, so that {@link remove} can find it. */
  constructor(readonly onMove: (item: T, at: number) => void = () => undefined) {}

  get size(): number {
    return this.#keys.length;
  }

  /** The lowest key, `Infinity` when empty. */
  get lowest(): number {
    return this.#keys[0] ?? Number.POSITIVE_INFINITY;
  }

  push(key: number, item: T): void {
    this.#rise(this.#keys.length, key, item);
    if (this.#keys.length > this.#peak) this.#peak = this.#keys.length;
  }

  /** Takes out the item with the lowest key. */
  pop(): T | undefined {
    const top = this.#items[0];
    this.remove(0);
    return top;
  }

  /** Takes out the item that stands at a place. */
  remove(at: number): void {
    const key = this.#keys.pop();
    const item = this.#items.pop() as T;
    if (key !== undefined && at < this.#keys.length) {
      if (key < (this.#keys[at] as number)) this.#rise(at, key, item);
      else this.#sink(at, key, item);
    }
    this.#giveBack();
  }

  /** Puts an item in place of another one, with its key. */
  replace(at: number, item: T): void {
    this.#items[at] = item;
  }

  clear(): void {
    this.#keys = [];
    this.#items = [];
    this.#peak = 0;
  }

  #put(at: number, key: number, item: T): void {
    this.#keys[at] = key;
    this.#items[at] = item;
    this.onMove(item, at);
  }

  /** An array that shrinks by `pop` may keep the memory of its best days: copy it once most of it is gone. */
  #giveBack(): void {
    if (this.#peak < 1_024 || this.#keys.length > this.#peak / 4) return;
    this.#keys = this.#keys.slice();
    this.#items = this.#items.slice();
    this.#peak = this.#keys.length;
  }

  /** Puts an item at a free place and lets it rise to where it belongs. */
  #rise(from: number, key: number, item: T): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentKey = this.#keys[parent] as number;
      if (parentKey <= key) break;
      this.#put(at, parentKey, this.#items[parent] as T);
      at = parent;
    }
    this.#put(at, key, item);
  }

  /** Puts an item at a free place and lets it sink to where it belongs. */
  #sink(from: number, key: number, item: T): void {
    const size = this.#keys.length;
    let at = from;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (this.#keys[child + 1] as number) < (this.#keys[child] as number)) child++;
      const childKey = this.#keys[child] as number;
      if (childKey >= key) break;
      this.#put(at, childKey, this.#items[child] as T);
      at = child;
    }
    this.#put(at, key, item);
  }
}
