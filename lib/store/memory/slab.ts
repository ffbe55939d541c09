import type { RowCursor } from './row-cursor.js';
import { SlabRows } from './slab-rows.js';

/** The longest states of each shelf: of windows and token buckets, then of sliding windows that grow. */
const ROOMS = [2, 5, 11, 23, 43, 67];
const SHELF_BITS = 3;

const shelfFor = (length: number): number => ROOMS.findIndex((room) => room >= length);
const addressOf = (shelf: number, index: number): number => (index << SHELF_BITS) | shelf;

/** Rows of numbers by their addresses, each on the shelf where its state fits. */
export class Slab implements Iterable<number> {
  readonly #shelves = ROOMS.map((room) => new SlabRows(room));

  /** Adds a row for a state of `length`, in which anything may stand, and gives its address. */
  add(identity: string, length: number): number {
    const at = shelfFor(length);
    return addressOf(at, this.#shelf(at).add(identity));
  }

  get(address: number, field: number): number {
    return this.#of(address).get(address >>> SHELF_BITS, field);
  }

  set(address: number, field: number, value: number): void {
    this.#of(address).set(address >>> SHELF_BITS, field, value);
  }

  identityOf(address: number): string {
    return this.#of(address).identityAt(address >>> SHELF_BITS);
  }

  /** The longest state that fits at an address. */
  roomAt(address: number): number {
    return this.#of(address).room;
  }

  /** Has a row stand for what is at an address, until a row is added or removed. */
  moveTo(row: RowCursor, address: number): void {
    const shelf = this.#of(address);
    const index = address >>> SHELF_BITS;
    row.moveTo(address, shelf.pageOf(index), shelf.offsetOf(index), shelf.room);
  }

  /** A copy of a row where a longer state fits. */
  copyFor(address: number, length: number): number {
    const copy = this.add(this.identityOf(address), length);
    this.#of(copy).copy(this.#of(address), address >>> SHELF_BITS, copy >>> SHELF_BITS);
    return copy;
  }

  /**
   * Removes a row.
   *
   * @returns Whether another one stands at its address now: the last of its shelf.
   */
  remove(address: number): boolean {
    const shelf = this.#of(address);
    shelf.remove(address >>> SHELF_BITS);
    return address >>> SHELF_BITS < shelf.size;
  }

  /** All addresses, the highest first: when a row goes, one that was met already takes its place. */
  *[Symbol.iterator](): Iterator<number> {
    for (let at = this.#shelves.length - 1; at >= 0; at--) {
      const shelf = this.#shelf(at);
      for (let index = shelf.size - 1; index >= 0; index = Math.min(index, shelf.size) - 1) {
        if (index < shelf.size) yield addressOf(at, index);
      }
    }
  }

  clear(): void {
    for (const shelf of this.#shelves) shelf.clear();
  }

  #shelf(at: number): SlabRows {
    return this.#shelves[at] as SlabRows;
  }

  #of(address: number): SlabRows {
    return this.#shelf(address & ((1 << SHELF_BITS) - 1));
  }
}
