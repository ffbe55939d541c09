import type { Algorithm } from '../../core/algorithms/algorithm.js';
import { algorithmOf } from '../../core/algorithms/index.js';
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
}

/** Where the buckets of each limit are, as long as it has any. */
export class Tables {
  readonly #byTail = new Map<string, Table>();
  readonly #byId: (Table | undefined)[] = [];
  /** The one that was asked for last. */
  #last: Table | undefined;

  byId(id: number): Table {
    return this.#byId[id] as Table;
  }

  /** The address of a bucket, or NONE. */
  find(tail: string, identity: string): number {
    let table = this.#last;
    if (table === undefined || table.tail !== tail) {
      table = this.#byTail.get(tail);
      if (table === undefined) return NONE;
      this.#last = table;
    }
    return table.addresses.get(identity) ?? NONE;
  }

  /** The table of a policy, made when there is none yet. */
  of({ tail, scope, windowMs, algorithm }: Policy): Table {
    const known = this.#byTail.get(tail);
    if (known !== undefined) return known;
    const free = this.#byId.indexOf(undefined);
    const id = free === -1 ? this.#byId.length : free;
    const table = { id, tail, scope, windowMs, algorithm: algorithmOf(algorithm), addresses: new Map() };
    this.#byId[id] = table;
    this.#byTail.set(tail, table);
    return table;
  }

  /** Takes an address out, and its table with the last one. */
  remove({ id, tail, addresses }: Table, identity: string): void {
    addresses.delete(identity);
    if (addresses.size > 0) return;
    this.#byTail.delete(tail);
    this.#byId[id] = undefined;
    this.#last = undefined;
  }

  [Symbol.iterator](): Iterator<Table> {
    return this.#byTail.values();
  }

  clear(): void {
    this.#byTail.clear();
    this.#byId.length = 0;
    this.#last = undefined;
  }
}
