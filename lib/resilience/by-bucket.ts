import type { Policy } from '../core/policy.js';

type Table<T> = Map<string, Map<string, T>>;

/** Something for each bucket, of those that were set last: between `max` and twice as many. */
export class ByBucket<T> {
  #young: Table<T> = new Map();
  #old: Table<T> = new Map();
  #size = 0;

  constructor(readonly max: number) {}

  get({ bucketKey }: Policy, identity: string): T | undefined {
    return this.#young.get(bucketKey)?.get(identity) ?? this.#old.get(bucketKey)?.get(identity);
  }

  set({ bucketKey }: Policy, identity: string, value: T): void {
    let table = this.#young.get(bucketKey);
    if (table === undefined) {
      table = new Map();
      this.#young.set(bucketKey, table);
    }
    const before = table.size;
    table.set(identity, value);
    this.#size += table.size - before;
    if (this.#size < this.max) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#size = 0;
  }

  delete({ bucketKey }: Policy, identity: string): void {
    if (this.#young.get(bucketKey)?.delete(identity)) this.#size--;
    this.#old.get(bucketKey)?.delete(identity);
  }

  /** Deletes what there is of an identity, where `concerns` says so. */
  deleteOf(identity: string, concerns: (value: T) => boolean): void {
    for (const [generation, isYoung] of [
      [this.#young, true],
      [this.#old, false],
    ] as const) {
      for (const table of generation.values()) {
        const value = table.get(identity);
        if (value === undefined || !concerns(value)) continue;
        table.delete(identity);
        if (isYoung) this.#size--;
      }
    }
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#size = 0;
  }
}
