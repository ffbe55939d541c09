import { type BucketState, EMPTY_STATE, type Rule } from '../../core/algorithms/algorithm.js';
import { NONE, type PolicyTable } from './bucket-index.js';

// A row starts with these numbers; those of its state follow.
const GENERATION = 0;
const LIMIT = 1;
const CAPACITY = 2;
const TABLE_ID = 3;
export const HEAP_INDEX = 4;
const LENGTH = 5;
export const HEADER_SIZE = 6;

/** Reads and writes one row after the other, so that a decision creates no objects. */
export class RowCursor {
  /** NONE if there is no such bucket. */
  address = NONE;
  /** The table of the last bucket: requests mostly have the same limits as the one before. */
  table: PolicyTable | undefined;
  maxLength = 0;
  /** The numbers among which the row is. */
  numbers: Float64Array = new Float64Array(0);
  #offset = 0;

  moveTo(address: number, numbers: Float64Array, offset: number, maxLength: number): void {
    this.address = address;
    this.numbers = numbers;
    this.#offset = offset;
    this.maxLength = maxLength;
  }

  /** Identifies a bucket among all that have had its key. */
  get generation(): number {
    return this.numbers[this.#offset + GENERATION] as number;
  }

  get tableId(): number {
    return this.numbers[this.#offset + TABLE_ID] as number;
  }

  get heapIndex(): number {
    return this.numbers[this.#offset + HEAP_INDEX] as number;
  }

  /** The position of the state among the numbers. */
  get stateAt(): number {
    return this.#offset + HEADER_SIZE;
  }

  /** The length of the state. */
  get length(): number {
    return this.numbers[this.#offset + LENGTH] as number;
  }

  set length(length: number) {
    this.numbers[this.#offset + LENGTH] = length;
  }

  /** Fills in the header of a new row. */
  initialize(generation: number, tableId: number): void {
    this.numbers[this.#offset + GENERATION] = generation;
    this.numbers[this.#offset + TABLE_ID] = tableId;
    this.numbers[this.#offset + HEAP_INDEX] = NONE;
  }

  /** Copies the limit and the capacity that the bucket was last charged under. */
  readRule(rule: { limit: number; capacity: number }): void {
    rule.limit = this.numbers[this.#offset + LIMIT] as number;
    rule.capacity = this.numbers[this.#offset + CAPACITY] as number;
  }

  /** Copies the state into an array of `states`. */
  read(states: ScratchStates): BucketState {
    const page = this.numbers;
    const offset = this.#offset;
    const length = page[offset + LENGTH] as number;
    if (length === 0) return EMPTY_STATE;
    const state = states.ofLength(length);
    for (let i = 0; i < length; i++) state[i] = page[offset + HEADER_SIZE + i] as number;
    return state;
  }

  /** Writes the rule that the bucket is charged under. Its limit may change while the bucket lives. */
  writeRule({ limit, capacity }: Rule): void {
    this.numbers[this.#offset + LIMIT] = limit;
    this.numbers[this.#offset + CAPACITY] = capacity;
  }

  /** Writes a state that fits, and its rule. */
  write(rule: Rule, state: BucketState): void {
    const page = this.numbers;
    const offset = this.#offset;
    const { length } = state;
    this.writeRule(rule);
    page[offset + LENGTH] = length;
    for (let i = 0; i < length; i++) page[offset + HEADER_SIZE + i] = state[i] as number;
  }
}

/** Arrays to read states into, one for each length, so that a decision creates none. */
export class ScratchStates {
  readonly #byLength: BucketState[] = [];

  /** Returns an array of `length` arbitrary numbers, valid until the next call. */
  ofLength(length: number): BucketState {
    // Fractions, so that V8 makes an array of doubles: it would have to convert one of small integers.
    this.#byLength[length] ??= new Array<number>(length).fill(0.5);
    const state = this.#byLength[length] as number[];
    if (state.length !== length) state.length = length;
    return state;
  }
}
