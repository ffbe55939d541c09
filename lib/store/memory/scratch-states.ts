import type { BucketState } from '../../core/algorithms/algorithm.js';

/** Arrays to load states into, one for each length, so that a decision makes none. */
export class ScratchStates {
  readonly #byLength: BucketState[] = [];

  /** An array of so many numbers, whatever they are; good until the next call. */
  ofLength(length: number): BucketState {
    let state = this.#byLength[length];
    if (state === undefined) {
      // Not of small whole numbers: times are none, and the array would be made over.
      state = new Array<number>(length).fill(0.5);
      this.#byLength[length] = state;
    } else if (state.length !== length) state.length = length;
    return state;
  }
}
