import type { Charge } from '../../core/decision.js';
import { Heap } from './heap.js';
import { NONE } from './shelf.js';

/** What stands for a bucket as long as it is there. */
export interface BucketName {
  readonly tail: string;
  readonly identity: string;
}

/** A bucket that may not go. */
export type Held = Pick<Charge, 'policy' | 'identity'>;

/** Buckets by addresses that hold for a moment only. */
interface Candidates extends Iterable<number> {
  /** The address of a bucket, or NONE. */
  find(tail: string, identity: string): number;
  nameOf(address: number): BucketName;
  isBlocked(address: number, nowMs: number): boolean;
  /** How much of its capacity it uses, from 0 to 1. */
  share(address: number, nowMs: number): number;
}

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
  #found: BucketName[] = [];
  #foundShare = 0;
  /** The walk that is under way. */
  #walk: Iterator<number> | null = null;
  #least = new Heap<BucketName>();

  constructor(
    readonly buckets: Candidates,
    maxBuckets: number,
  ) {
    this.#most = Math.ceil(maxBuckets / 32);
    this.#stride = Math.ceil((2 * maxBuckets) / this.#most);
  }

  /** Looks at some more buckets. To be called for each new one once there is little room. */
  prepare(nowMs: number): void {
    this.#look(this.#stride, [], nowMs);
  }

  /** The address of the least charged bucket that is neither blocked nor held; NONE when there is none. */
  take(held: readonly Held[], nowMs: number): number {
    const victim = this.#next(held, nowMs);
    if (victim !== NONE) return victim;
    // The last finds are used up or out of date: finish the walk, and another one when that began too early, or has
    // found none but those that are held.
    for (let walks = 0; walks < 2; walks++) {
      this.#look(Number.POSITIVE_INFINITY, held, nowMs);
      const found = this.#next(held, nowMs);
      if (found !== NONE) return found;
    }
    return NONE;
  }

  clear(): void {
    this.#found = [];
    this.#walk = null;
    this.#least = new Heap();
  }

  #next(held: readonly Held[], nowMs: number): number {
    for (let name = this.#found.pop(); name !== undefined; name = this.#found.pop()) {
      const address = this.buckets.find(name.tail, name.identity);
      if (address === NONE || this.buckets.isBlocked(address, nowMs) || isAmong(held, name)) continue;
      if (this.buckets.share(address, nowMs) <= this.#foundShare) return address;
    }
    return NONE;
  }

  /** Looks at up to `count` buckets, and no further than to the end of a walk. */
  #look(count: number, held: readonly Held[], nowMs: number): void {
    this.#walk ??= this.buckets[Symbol.iterator]();
    for (let looked = 0; looked < count; looked++) {
      const { value: address, done } = this.#walk.next();
      if (done === true) {
        this.#harvest();
        return;
      }
      this.#consider(address, held, nowMs);
    }
  }

  #consider(address: number, held: readonly Held[], nowMs: number): void {
    if (this.buckets.isBlocked(address, nowMs)) return;
    const share = this.buckets.share(address, nowMs);
    const isFull = this.#least.size === this.#most;
    if (isFull && share >= -this.#least.lowest) return;
    const name = this.buckets.nameOf(address);
    if (isAmong(held, name)) return;
    if (isFull) this.#least.pop();
    this.#least.push(-share, name);
  }

  #harvest(): void {
    const least = this.#least;
    this.#foundShare = least.size === 0 ? 0 : -least.lowest;
    this.#found = [];
    for (let name = least.pop(); name !== undefined; name = least.pop()) this.#found.push(name);
    this.#walk = null;
  }
}

const isAmong = (held: readonly Held[], { tail, identity }: BucketName): boolean =>
  held.some((other) => other.identity === identity && other.policy.tail === tail);
