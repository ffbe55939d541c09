import type { Algorithm } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import type { Policy } from '../../core/policy.js';

/** Stands for no address and no index. */
export const NONE = -1;

/** The buckets of one policy by identity, so that the limits of a request share one string, which is hashed once. */
export interface PolicyTable {
  readonly id: number;
  readonly bucketKey: string;
  readonly scope: string;
  readonly windowMs: number;
  readonly algorithm: Algorithm;
  readonly addresses: Map<string, number>;
  /** Set when its last bucket is removed: the table is then removed too. */
  isDropped: boolean;
}

/** Finds the addresses of buckets. */
export class BucketIndex {
  readonly #byBucketKey = new Map<string, PolicyTable>();
  readonly #byId: (PolicyTable | undefined)[] = [];

  byId(id: number): PolicyTable {
    return this.#byId[id] as PolicyTable;
  }

  /**
   * Finds the table of a bucket key.
   *
   * @param last The table that was found last, which is tried first.
   */
  get(bucketKey: string, last?: PolicyTable): PolicyTable | undefined {
    return last !== undefined && last.bucketKey === bucketKey && !last.isDropped
      ? last
      : this.#byBucketKey.get(bucketKey);
  }

  /** Returns the address of a bucket, or NONE. */
  find(bucketKey: string, identity: string): number {
    return this.#byBucketKey.get(bucketKey)?.addresses.get(identity) ?? NONE;
  }

  /** Returns the table of a policy; creates it if necessary. */
  getOrCreate({ bucketKey, scope, windowMs, algorithm }: Policy): PolicyTable {
    const existing = this.#byBucketKey.get(bucketKey);
    if (existing !== undefined) return existing;
    const freeId = this.#byId.indexOf(undefined);
    const id = freeId === -1 ? this.#byId.length : freeId;
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

  /** Removes a bucket, and its table with the last one. */
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
