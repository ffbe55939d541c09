/** What the numbers at the head of a row say of its bucket; those of its state follow. */
export const GENERATION = 0;
export const LIMIT = 1;
export const CAPACITY = 2;
export const POLICY_TABLE = 3;
export const HEAP_INDEX = 4;
export const LENGTH = 5;
export const HEADER_SIZE = 6;

/** In place of an address or a place. */
export const NONE = -1;

const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;
/** The first page starts with so many rows: most stores are small. */
const FIRST_PAGE_ROWS = 16;

/**
 * Buckets whose states are about equally long, a row of numbers each, without gaps: a million objects would take
 * twice the memory, and the garbage collector would look at all of them again and again.
 */
export class SlabRows {
  /** Numbers in a row. */
  readonly width: number;
  #pages: Float64Array[] = [];
  #identities: string[][] = [];
  #size = 0;

  /** @param room The longest state that fits. */
  constructor(readonly room: number) {
    this.width = HEADER_SIZE + room;
  }

  get size(): number {
    return this.#size;
  }

  /** The page that holds a row; good until a row is added or dropped. */
  pageOf(index: number): Float64Array {
    return this.#pages[index >>> PAGE_BITS] as Float64Array;
  }

  /** Where in its page a row begins. */
  offsetOf(index: number): number {
    return (index & (PAGE - 1)) * this.width;
  }

  identityAt(index: number): string {
    return this.#identities[index >>> PAGE_BITS]?.[index & (PAGE - 1)] as string;
  }

  get(index: number, field: number): number {
    return this.pageOf(index)[this.offsetOf(index) + field] as number;
  }

  set(index: number, field: number, value: number): void {
    this.pageOf(index)[this.offsetOf(index) + field] = value;
  }

  /** Adds a row, in which anything may stand, and gives its index. */
  add(identity: string): number {
    const index = this.#size++;
    const page = index >>> PAGE_BITS;
    const row = index & (PAGE - 1);
    const numbers = this.#pages[page];
    if (numbers === undefined) {
      this.#pages[page] = new Float64Array(this.width * (page === 0 ? FIRST_PAGE_ROWS : PAGE));
      this.#identities[page] = [];
    } else if (numbers.length === row * this.width) {
      const longer = new Float64Array(2 * numbers.length);
      longer.set(numbers);
      this.#pages[page] = longer;
    }
    (this.#identities[page] as string[])[row] = identity;
    return index;
  }

  /** Copies what a row of a shelf that is no larger holds, but for its identity, over one of this. */
  copy(from: SlabRows, fromIndex: number, index: number): void {
    const start = from.offsetOf(fromIndex);
    this.pageOf(index).set(from.pageOf(fromIndex).subarray(start, start + from.width), this.offsetOf(index));
  }

  /** Drops a row; the last one takes its place. */
  remove(index: number): void {
    const last = --this.#size;
    const lastPage = last >>> PAGE_BITS;
    const identities = this.#identities[lastPage] as string[];
    const identity = identities.pop() as string;
    if (index !== last) {
      this.copy(this, last, index);
      (this.#identities[index >>> PAGE_BITS] as string[])[index & (PAGE - 1)] = identity;
    }
    this.#releasePages(lastPage);
  }

  clear(): void {
    this.#pages = [];
    this.#identities = [];
    this.#size = 0;
  }

  /** Lets go of pages without rows, but for one, which may be needed again at once. */
  #releasePages(lastPage: number): void {
    if (this.#size === 0) this.clear();
    else if (this.#pages.length > lastPage + 2) {
      this.#pages.length = lastPage + 2;
      this.#identities.length = lastPage + 2;
    }
  }
}
