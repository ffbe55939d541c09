import { type Rule, type State, UNTOUCHED } from '../../core/algorithms/algorithm.js';
import { BIRTH, CAPACITY, HEAD, LENGTH, LIMIT, NONE } from './shelf.js';
import type { States } from './states.js';
import type { Table } from './tables.js';

const NOTHING = new Float64Array(0);

/** Where the numbers of a bucket are. Serves one bucket after the other, since a decision is to make nothing new. */
export class Row {
  /** NONE when there is no such bucket. */
  address = NONE;
  /** Where the last bucket was looked for: the limits of a request are mostly those of the one before. */
  table: Table | undefined;
  #page: Float64Array = NOTHING;
  #at = 0;
  /** The longest state that fits. */
  room = 0;

  /** Stands for a bucket from now on, until any bucket moves. */
  point(address: number, page: Float64Array, at: number, room: number): void {
    this.address = address;
    this.#page = page;
    this.#at = at;
    this.room = room;
  }

  /** Tells the bucket from others of its name, before and after. */
  get birth(): number {
    return this.#page[this.#at + BIRTH] as number;
  }

  /** What the bucket holds, copied into an array of `states`. */
  read(states: States): State {
    const page = this.#page;
    const at = this.#at;
    const length = page[at + LENGTH] as number;
    if (length === 0) return UNTOUCHED;
    const state = states.ofLength(length);
    for (let i = 0; i < length; i++) state[i] = page[at + HEAD + i] as number;
    return state;
  }

  /** Keeps a state that fits, and the rule it was charged under, whose limit may change while the bucket lives. */
  write(rule: Rule, state: State): void {
    const page = this.#page;
    const at = this.#at;
    const { length } = state;
    page[at + LIMIT] = rule.limit;
    page[at + CAPACITY] = rule.capacity;
    page[at + LENGTH] = length;
    for (let i = 0; i < length; i++) page[at + HEAD + i] = state[i] as number;
  }
}
