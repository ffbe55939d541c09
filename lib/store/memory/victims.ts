import type { Bucket } from './bucket.js';
import { Heap } from './heap.js';

/**
 * Finds the least charged of many buckets, a few at each call, so that no single request pays for a walk
 * over all of them. A walk ends with its finds; while they are used up, the next one is under way.
 */
export class Victims {
  /** How many buckets one walk finds. */
  readonly #most: number;
  /** How many it looks at for each new bucket: two walks while the finds of one last. */
  readonly #stride: number;
  /** The finds of the last walk, the least charged last, and the share of the most charged of them. */
  #found: Bucket[] = [];
  #foundShare = 0;
  /** The walk that is under way. */
  #walk: Iterator<Bucket> | null = null;
  #least = new Heap<Bucket>();

  constructor(
    readonly all: Iterable<Bucket>,
    maxBuckets: number,
  ) {
    this.#most = Math.ceil(maxBuckets / 32);
    this.#stride = Math.ceil((2 * maxBuckets) / this.#most);
  }

  /** Looks at some more buckets. To be called for each new one once there is little room. */
  prepare(nowMs: number): void {
    this.#look(this.#stride, nowMs);
  }

  /** The least charged bucket that `may` go; undefined when none may. */
  take(may: (bucket: Bucket) => boolean, nowMs: number): Bucket | undefined {
    const victim = this.#next(may, nowMs);
    if (victim !== undefined) return victim;
    // The last finds are used up or out of date: finish the walk, and another one when that began too early.
    for (let walks = 0; walks < 2; walks++) {
      this.#look(Number.POSITIVE_INFINITY, nowMs);
      const found = this.#next(may, nowMs);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  clear(): void {
    this.#found = [];
    this.#walk = null;
    this.#least = new Heap();
  }

  #next(may: (bucket: Bucket) => boolean, nowMs: number): Bucket | undefined {
    for (let bucket = this.#found.pop(); bucket !== undefined; bucket = this.#found.pop()) {
      if (!may(bucket)) continue;
      bucket.settle(nowMs);
      if (bucket.share(nowMs) <= this.#foundShare) return bucket;
    }
    return undefined;
  }

  /** Looks at up to `count` buckets, and no further than to the end of a walk. */
  #look(count: number, nowMs: number): void {
    this.#walk ??= this.all[Symbol.iterator]();
    for (let looked = 0; looked < count; looked++) {
      const { value: bucket, done } = this.#walk.next();
      if (done === true) {
        this.#harvest();
        return;
      }
      this.#consider(bucket, nowMs);
    }
  }

  #consider(bucket: Bucket, nowMs: number): void {
    if (bucket.blockedUntilMs > nowMs) return;
    bucket.settle(nowMs);
    const share = bucket.share(nowMs);
    if (this.#least.size === this.#most) {
      if (share >= -this.#least.lowest) return;
      this.#least.pop();
    }
    this.#least.push(-share, bucket);
  }

  #harvest(): void {
    const least = this.#least;
    this.#foundShare = least.size === 0 ? 0 : -least.lowest;
    this.#found = [];
    for (let bucket = least.pop(); bucket !== undefined; bucket = least.pop()) this.#found.push(bucket);
    this.#walk = null;
  }
}
