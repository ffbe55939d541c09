import type { Algorithm } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import type { Policy } from '../../core/policy.js';
import { NONE } from './slab-rows.js';

/** The buckets of one limit, by the identity alone: the key of a request's limits is then one string, hashed once. */
export interface PolicyTable {
  readonly id: number;
  readonly bucketKey: string;
  readonly scope: string;
  readonly windowMs: number;
  readonly algorithm: Algorithm;
  readonly addresses: Map<string, number>;
  /** Whether its last bucket has gone, and it with it. */
  isDropped: boolean;
}

/** Where the buckets of each limit are, as long as it has any. */
export class BucketIndex {
  readonly #byBucketKey = new Map<string, PolicyTable>();
  readonly #byId: (PolicyTable | undefined)[] = [];

  byId(id: number): PolicyTable {
    return this.#byId[id] as PolicyTable;
  }

  /**
   * The table of a tail, if there is one.
   *
   * @param last The one that was found the last time, which is likely to be it.
   */
  get(bucketKey: string, last?: PolicyTable): PolicyTable | undefined {
    return last !== undefined && last.bucketKey === bucketKey && !last.isDropped
      ? last
      : this.#byBucketKey.get(bucketKey);
  }

  /** The address of a bucket, or NONE. */
  find(bucketKey: string, identity: string): number {
    return this.#byBucketKey.get(bucketKey)?.addresses.get(identity) ?? NONE;
  }

  /** The table of a policy, made when there is none yet. */
  of({ bucketKey, scope, windowMs, algorithm }: Policy): PolicyTable {
    const known = this.#byBucketKey.get(bucketKey);
    if (known !== undefined) return known;
    const free = this.#byId.indexOf(undefined);
    const id = free === -1 ? this.#byId.length : free;
    const addresses = new Map<string, number>();
    const table = {
      id,
      bucketKey,
      scope,
      windowMs,
      algorithm: ALGORITHMS[algorithm],
      addresses,
      isDropped: false,
    };
    this.#byId[id] = table;
    this.#byBucketKey.set(bucketKey, table);
    return table;
  }

  /** Takes an address out, and its table with the last one. */
  remove(table: PolicyTable, identity: string): void {
    table.addresses.delete(identity);
    if (table.addresses.size > 0) return;
    table.isDropped = true;
    this.#byBucketKey.delete(table.bucketKey);
    this.#byId[table.id] = undefined;
  }

  [Symbol.iterator](): Iterator<PolicyTable> {
    return this.#byBucketKey.values();
  }

  clear(): void {
    for (const table of this) table.isDropped = true;
    this.#byBucketKey.clear();
    this.#byId.length = 0;
  }
}
