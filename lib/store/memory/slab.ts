import { ALGORITHMS } from '../../core/algorithms/index.js';
import { HEADER_SIZE, HEAP_INDEX, type RowCursor } from './row-cursor.js';

/** The longest states by size class: fixed windows and token buckets, then sliding windows as they grow. */
const MAX_STATE = Math.max(...Object.values(ALGORITHMS).map(({ maxState }) => maxState));
// A sliding window writes one entry more before it merges, an exact one too if its limit has been raised.
const MAX_LENGTHS = [2, 5, 11, 23, 47, 95, 195, 395, 795, 1_405, MAX_STATE + 4];
const CLASS_BITS = 4;

const PAGE_BITS = 12;
const PAGE_ROWS = 1 << PAGE_BITS;
/** Most stores are small, so the first page starts with fewer rows. */
const FIRST_PAGE_ROWS = 16;

const addressOf = (sizeClass: number, index: number): number => (index << CLASS_BITS) | sizeClass;

/**
 * Keeps buckets as rows of numbers in a few large typed arrays, which the garbage collector does not scan. With a
 * million buckets, a full collection takes less than a third of the time that it takes with an object for each one.
 *
 * A row has an address until it moves: its index among the rows of its size class, and that class.
 */
export class Slab implements Iterable<number> {
  readonly #classes = MAX_LENGTHS.map((maxLength) => new SlabRows(maxLength));

  /** Adds a row for a state of `length` numbers and returns its address. The row's numbers are undefined. */
  add(identity: string, length: number): number {
    const sizeClass = MAX_LENGTHS.findIndex((maxLength) => maxLength >= length);
    return addressOf(sizeClass, (this.#classes[sizeClass] as SlabRows).add(identity));
  }

  identityOf(address: number): string {
    return this.#rowsOf(address).identityAt(address >>> CLASS_BITS);
  }

  /** Moves a cursor to a row. It stays valid until a row is added or removed. */
  moveTo(cursor: RowCursor, address: number): void {
    const rows = this.#rowsOf(address);
    const index = address >>> CLASS_BITS;
    cursor.moveTo(address, rows.pageOf(index), rows.offsetOf(index), rows.maxLength);
  }

  /** Needs no cursor, since every new bucket moves several others in the heap. */
  setHeapIndex(address: number, heapIndex: number): void {
    const rows = this.#rowsOf(address);
    const index = address >>> CLASS_BITS;
    rows.pageOf(index)[rows.offsetOf(index) + HEAP_INDEX] = heapIndex;
  }

  /** Copies a row to one with room for a longer state and returns its address. */
  copyFor(address: number, length: number): number {
    const copy = this.add(this.identityOf(address), length);
    this.#rowsOf(copy).copy(this.#rowsOf(address), address >>> CLASS_BITS, copy >>> CLASS_BITS);
    return copy;
  }

  /**
   * Removes a row.
   *
   * @returns True if another row has moved to its address: the last of its size class.
   */
  remove(address: number): boolean {
    const rows = this.#rowsOf(address);
    const index = address >>> CLASS_BITS;
    rows.remove(index);
    return index < rows.size;
  }

  /** Iterates over all addresses, the highest first, since a row that is removed is replaced by the last one. */
  *[Symbol.iterator](): Iterator<number> {
    for (let sizeClass = this.#classes.length - 1; sizeClass >= 0; sizeClass--) {
      const rows = this.#classes[sizeClass] as SlabRows;
      for (let index = rows.size - 1; index >= 0; index = Math.min(index, rows.size) - 1) {
        if (index < rows.size) yield addressOf(sizeClass, index);
      }
    }
  }

  clear(): void {
    for (const rows of this.#classes) rows.clear();
  }

  #rowsOf(address: number): SlabRows {
    return this.#classes[address & ((1 << CLASS_BITS) - 1)] as SlabRows;
  }
}

/** Rows of one size class, without gaps. */
class SlabRows {
  /** Numbers in a row. */
  readonly width: number;
  size = 0;
  #pages: Float64Array[] = [];
  #identities: string[][] = [];

  /** @param maxLength The longest state that fits. */
  constructor(readonly maxLength: number) {
    this.width = HEADER_SIZE + maxLength;
  }

  pageOf(index: number): Float64Array {
    return this.#pages[index >>> PAGE_BITS] as Float64Array;
  }

  /** Returns the position of a row in its page. */
  offsetOf(index: number): number {
    return (index & (PAGE_ROWS - 1)) * this.width;
  }

  identityAt(index: number): string {
    return this.#identities[index >>> PAGE_BITS]?.[index & (PAGE_ROWS - 1)] as string;
  }

  add(identity: string): number {
    const index = this.size++;
    const page = index >>> PAGE_BITS;
    const row = index & (PAGE_ROWS - 1);
    const numbers = this.#pages[page];
    if (numbers === undefined) {
      this.#pages[page] = new Float64Array(this.width * (page === 0 ? FIRST_PAGE_ROWS : PAGE_ROWS));
      this.#identities[page] = [];
    } else if (numbers.length === row * this.width) {
      const longer = new Float64Array(2 * numbers.length);
      longer.set(numbers);
      this.#pages[page] = longer;
    }
    (this.#identities[page] as string[])[row] = identity;
    return index;
  }

  /** Copies the numbers of a row of the same or a smaller size class. */
  copy(from: SlabRows, fromIndex: number, index: number): void {
    const start = from.offsetOf(fromIndex);
    this.pageOf(index).set(from.pageOf(fromIndex).subarray(start, start + from.width), this.offsetOf(index));
  }

  /** Removes a row and moves the last one to its index. */
  remove(index: number): void {
    const last = --this.size;
    const lastPage = last >>> PAGE_BITS;
    const identities = this.#identities[lastPage] as string[];
    const identity = identities.pop() as string;
    if (index !== last) {
      this.copy(this, last, index);
      (this.#identities[index >>> PAGE_BITS] as string[])[index & (PAGE_ROWS - 1)] = identity;
    }
    // Releases empty pages except for one, which may be needed again immediately.
    if (this.size === 0) this.clear();
    else if (this.#pages.length > lastPage + 2) {
      this.#pages.length = lastPage + 2;
      this.#identities.length = lastPage + 2;
    }
  }

  clear(): void {
    this.#pages = [];
    this.#identities = [];
    this.size = 0;
  }
}
