import type { Algorithm } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import type { Policy } from '../../core/policy.js';
import { NONE } from './shelf.js';

/** The buckets of one limit, by the identity alone: the key of a request's limits is then one string, hashed once. */
export interface Table {
  readonly id: number;
  readonly tail: string;
  readonly scope: string;
  readonly windowMs: number;
  readonly algorithm: Algorithm;
  readonly addresses: Map<string, number>;
  /** Whether its last bucket has gone, and it with it. */
  isGone: boolean;
}

/** Where the buckets of each limit are, as long as it has any. */
export class Tables {
  readonly #byTail = new Map<string, Table>();
  readonly #byId: (Table | undefined)[] = [];

  byId(id: number): Table {
    return this.#byId[id] as Table;
  }

  /**
   * The table of a tail, if there is one.
   *
   * @param last The one that was found the last time, which is likely to be it.
   */
  get(tail: string, last?: Table): Table | undefined {
    return last !== undefined && last.tail === tail && !last.isGone ? last : this.#byTail.get(tail);
  }

  /** The address of a bucket, or NONE. */
  find(tail: string, identity: string): number {
    return this.#byTail.get(tail)?.addresses.get(identity) ?? NONE;
  }

  /** The table of a policy, made when there is none yet. */
  of({ tail, scope, windowMs, algorithm }: Policy): Table {
    const known = this.#byTail.get(tail);
    if (known !== undefined) return known;
    const free = this.#byId.indexOf(undefined);
    const id = free === -1 ? this.#byId.length : free;
    const addresses = new Map<string, number>();
    const table = { id, tail, scope, windowMs, algorithm: ALGORITHMS[algorithm], addresses, isGone: false };
    this.#byId[id] = table;
    this.#byTail.set(tail, table);
    return table;
  }

  /** Takes an address out, and its table with the last one. */
  remove(table: Table, identity: string): void {
    table.addresses.delete(identity);
    if (table.addresses.size > 0) return;
    table.isGone = true;
    this.#byTail.delete(table.tail);
    this.#byId[table.id] = undefined;
  }

  [Symbol.iterator](): Iterator<Table> {
    return this.#byTail.values();
  }

  clear(): void {
    for (const table of this) table.isGone = true;
    this.#byTail.clear();
    this.#byId.length = 0;
  }
}
