import type { Charge } from '../../core/decision.js';
import { NONE } from './bucket-index.js';

/** Names a bucket; unlike its address, this does not change. */
export interface BucketName {
  readonly bucketKey: string;
  readonly identity: string;
}

/** A bucket that must not be evicted. */
export type PinnedBucket = Pick<Charge, 'policy' | 'identity'>;

/** Buckets that may be evicted. Addresses are valid only for a moment. */
interface Candidates extends Iterable<number> {
  /** Returns the address of a bucket, or NONE. */
  find(bucketKey: string, identity: string): number;
  nameOf(address: number): BucketName;
  isBlocked(address: number, nowMs: number): boolean;
  /** Returns the used share of a bucket's capacity, from 0 to 1. */
  usageRatio(address: number, nowMs: number): number;
}

/**
 * Finds the least charged buckets, scanning a few at each call, so that no single request pays for a scan of all of
 * them. While the results of one scan are used up, the next one runs.
 */
export class EvictionQueue {
  /** Number of buckets that one scan finds. */
  readonly #maxVictims: number;
  /** Buckets to scan for each new bucket: two scans finish while the results of one last. */
  readonly #stride: number;
  /** Results of the last scan, the least charged last, and the usage ratio of the most charged one. */
  #victims: BucketName[] = [];
  #maxUsageRatio = 0;
  /** The current scan, and the least charged buckets that it has found so far, by negative usage ratio. */
  #scan: Iterator<number> | null = null;
  #leastCharged = new Heap<BucketName>();

  constructor(
    readonly buckets: Candidates,
    maxBuckets: number,
  ) {
    this.#maxVictims = Math.ceil(maxBuckets / 32);
    this.#stride = Math.ceil((2 * maxBuckets) / this.#maxVictims);
  }

  /** Continues the scan. To be called for each new bucket when there is little room. */
  scanSome(nowMs: number): void {
    this.#continueScan(this.#stride, [], nowMs);
  }

  /** Returns the address of the least charged bucket that is neither blocked nor pinned, or NONE. */
  evict(pinned: readonly PinnedBucket[], nowMs: number): number {
    const victim = this.#next(pinned, nowMs);
    if (victim !== NONE) return victim;
    // The results are used up or outdated: finish the current scan. If it began too early or found only pinned
    // buckets, make another one.
    for (let scans = 0; scans < 2; scans++) {
      this.#continueScan(Number.POSITIVE_INFINITY, pinned, nowMs);
      const found = this.#next(pinned, nowMs);
      if (found !== NONE) return found;
    }
    return NONE;
  }

  clear(): void {
    this.#victims = [];
    this.#scan = null;
    this.#leastCharged = new Heap();
  }

  #next(pinned: readonly PinnedBucket[], nowMs: number): number {
    for (let name = this.#victims.pop(); name !== undefined; name = this.#victims.pop()) {
      const address = this.buckets.find(name.bucketKey, name.identity);
      if (address === NONE || this.buckets.isBlocked(address, nowMs) || isAmong(pinned, name)) continue;
      if (this.buckets.usageRatio(address, nowMs) <= this.#maxUsageRatio) return address;
    }
    return NONE;
  }

  /** Scans up to `count` buckets, at most to the end of the current scan. */
  #continueScan(count: number, pinned: readonly PinnedBucket[], nowMs: number): void {
    this.#scan ??= this.buckets[Symbol.iterator]();
    for (let scanned = 0; scanned < count; scanned++) {
      const { value: address, done } = this.#scan.next();
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
    const isFull = this.#leastCharged.size === this.#maxVictims;
    if (isFull && usageRatio >= -this.#leastCharged.lowest) return;
    const name = this.buckets.nameOf(address);
    if (isAmong(pinned, name)) return;
    if (isFull) this.#leastCharged.pop();
    this.#leastCharged.push(-usageRatio, name);
  }

  #finishScan(): void {
    const least = this.#leastCharged;
    this.#maxUsageRatio = least.size === 0 ? 0 : -least.lowest;
    this.#victims = [];
    for (let name = least.pop(); name !== undefined; name = least.pop()) this.#victims.push(name);
    this.#scan = null;
  }
}

const isAmong = (pinned: readonly PinnedBucket[], { bucketKey, identity }: BucketName): boolean =>
  pinned.some((other) => other.identity === identity && other.policy.bucketKey === bucketKey);

/** Binary min-heap of items by a numeric key, in two plain arrays. */
export class Heap<T> {
  #keys: number[] = [];
  #items: T[] = [];
  /** The largest size since the arrays were copied last. */
  #peak = 0;

  /** @param onMove Receives the index of an item whenever that changes, for {@link remove} and {@link replace}. */
  constructor(readonly onMove: (item: T, index: number) => void = () => undefined) {}

  get size(): number {
    return this.#keys.length;
  }

  /** The lowest key; `Infinity` if it is empty. */
  get lowest(): number {
    return this.#keys[0] ?? Number.POSITIVE_INFINITY;
  }

  push(key: number, item: T): void {
    this.#rise(this.#keys.length, key, item);
    if (this.#keys.length > this.#peak) this.#peak = this.#keys.length;
  }

  /** Removes and returns the item with the lowest key. */
  pop(): T | undefined {
    const top = this.#items[0];
    this.remove(0);
    return top;
  }

  /** Removes the item at an index. */
  remove(index: number): void {
    const key = this.#keys.pop();
    const item = this.#items.pop() as T;
    if (key !== undefined && index < this.#keys.length) {
      if (key < (this.#keys[index] as number)) this.#rise(index, key, item);
      else this.#sink(index, key, item);
    }
    this.#shrink();
  }

  /** Replaces an item and keeps its key. */
  replace(index: number, item: T): void {
    this.#items[index] = item;
  }

  clear(): void {
    this.#keys = [];
    this.#items = [];
    this.#peak = 0;
  }

  #put(index: number, key: number, item: T): void {
    this.#keys[index] = key;
    this.#items[index] = item;
    this.onMove(item, index);
  }

  /** Copies the arrays when they have shrunk: an array that shrinks by `pop` may keep the memory of its peak. */
  #shrink(): void {
    if (this.#peak < 1_024 || this.#keys.length > this.#peak / 4) return;
    this.#keys = this.#keys.slice();
    this.#items = this.#items.slice();
    this.#peak = this.#keys.length;
  }

  /** Moves an item up from a free index. */
  #rise(from: number, key: number, item: T): void {
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const parentKey = this.#keys[parent] as number;
      if (parentKey <= key) break;
      this.#put(index, parentKey, this.#items[parent] as T);
      index = parent;
    }
    this.#put(index, key, item);
  }

  /** Moves an item down from a free index. */
  #sink(from: number, key: number, item: T): void {
    const size = this.#keys.length;
    let index = from;
    for (let child = 2 * index + 1; child < size; child = 2 * index + 1) {
      if (child + 1 < size && (this.#keys[child + 1] as number) < (this.#keys[child] as number)) child++;
      const childKey = this.#keys[child] as number;
      if (childKey >= key) break;
      this.#put(index, childKey, this.#items[child] as T);
      index = child;
    }
    this.#put(index, key, item);
  }
}
