import { type BucketState, EMPTY_STATE, type Rule } from '../../core/algorithms/algorithm.js';
import type { PolicyTable } from './bucket-index.js';
import type { ScratchStates } from './scratch-states.js';
import { CAPACITY, GENERATION, HEADER_SIZE, LENGTH, LIMIT, NONE } from './slab-rows.js';

const NOTHING = new Float64Array(0);

/** Where the numbers of a bucket are. Serves one bucket after the other, since a decision is to make nothing new. */
export class RowCursor {
  /** NONE when there is no such bucket. */
  address = NONE;
  /** Where the last bucket was looked for: the limits of a request are mostly those of the one before. */
  table: PolicyTable | undefined;
  #page: Float64Array = NOTHING;
  #at = 0;
  /** The longest state that fits. */
  room = 0;

  /** Stands for a bucket from now on, until any bucket moves. */
  moveTo(address: number, page: Float64Array, at: number, room: number): void {
    this.address = address;
    this.#page = page;
    this.#at = at;
    this.room = room;
  }

  /** Tells the bucket from others of its name, before and after. */
  get generation(): number {
    return this.#page[this.#at + GENERATION] as number;
  }

  /** What the bucket holds, copied into an array of `states`. */
  read(states: ScratchStates): BucketState {
    const page = this.#page;
    const at = this.#at;
    const length = page[at + LENGTH] as number;
    if (length === 0) return EMPTY_STATE;
    const state = states.ofLength(length);
    for (let i = 0; i < length; i++) state[i] = page[at + HEADER_SIZE + i] as number;
    return state;
  }

  /** Keeps a state that fits, and the rule it was charged under, whose limit may change while the bucket lives. */
  write(rule: Rule, state: BucketState): void {
    const page = this.#page;
    const at = this.#at;
    const { length } = state;
    page[at + LIMIT] = rule.limit;
    page[at + CAPACITY] = rule.capacity;
    page[at + LENGTH] = length;
    for (let i = 0; i < length; i++) page[at + HEADER_SIZE + i] = state[i] as number;
  }
}
