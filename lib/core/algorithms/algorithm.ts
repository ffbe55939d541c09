/** The state of one bucket: whole numbers, in an order that each algorithm defines. */
export type BucketState = number[];

/** The state of a bucket in which nothing counts. Never written to. */
export const EMPTY_STATE: BucketState = [];

/** The numbers of a policy that an algorithm calculates with. */
export interface Rule {
  /** Units per window. */
  readonly limit: number;
  readonly windowMs: number;
  /** The most units that count at the same time: the limit, or the burst of an algorithm that has one. */
  readonly capacity: number;
  /** True when a sliding window keeps the time of every charge. */
  readonly isExact?: boolean;
}

/** Numbers among which a state is: those of one bucket, or rows of many. */
export type Numbers = number[] | Float64Array;

/**
 * The arithmetic of an algorithm on a state of `length` numbers that starts at `at`. What changes a state writes it in
 * place and returns its new length.
 */
export interface Arithmetic {
  settle(numbers: Numbers, at: number, length: number, rule: Rule, nowMs: number): number;
  waitMs(numbers: Numbers, at: number, length: number, rule: Rule, cost: number, nowMs: number): number;
  charge(numbers: Numbers, at: number, length: number, rule: Rule, cost: number, nowMs: number): number;
  used(numbers: Numbers, at: number, length: number, rule: Rule, nowMs: number): number;
  resetMs(numbers: Numbers, at: number, length: number, rule: Rule, nowMs: number): number;
  /** Returns the numbers that `charge` may write for a state of this length. */
  lengthToCharge(length: number): number;
}

/** A charge to refund. */
export interface RefundableCharge {
  readonly cost: number;
  /** The time of the charge, by the store's clock. */
  readonly atMs: number;
  /**
   * The time after that in which its bucket was to be full again. In a fixed window, it ends with the window.
   */
  readonly resetAfterMs: number;
}

/**
 * One algorithm: its arithmetic, and every fact that the rest of the library needs to know of it.
 *
 * The functions take a state, a rule, a cost and a time. They use integers only and have no clock of their
 * own, so that every store decides by the same arithmetic. All except `settle` and `refund` expect a state
 * that `settle` has brought to `nowMs`, and all expect a limit of 1 or more.
 *
 * A function that returns a state takes over the state it was passed and may have written into it: keep the
 * result, and pass a copy to keep the old state. Creating a state for every charge would halve the decisions
 * per second of a store with a million buckets.
 */
export interface Algorithm {
  /** Stands for the algorithm in bucket keys, which outlive a deployment: it is unique and never changes. */
  readonly code: string;
  /** True when the capacity may differ from the limit. */
  readonly hasBurst: boolean;
  /** The most that capacity times window may be, so that the arithmetic stays exact in a double. */
  readonly maxCapacityTimesWindow: number;
  /** True when it admits at most `limit` units in any window, wherever the window starts. */
  readonly boundsEveryWindow: boolean;
  /**
   * True when what the store has counted and what this process has admitted during an outage add up. They do
   * when each charge ends by itself; otherwise this process keeps a copy of the whole bucket.
   */
  readonly isAdditive: boolean;
  /** The number of numbers in the longest state. */
  readonly maxState: number;
  /** The same arithmetic as below, in place: for stores that keep many states in one array. */
  readonly arithmetic: Arithmetic;

  /**
   * Returns the state at `nowMs`, without what has ended. Times ahead of `nowMs`, left by a clock that was
   * set back, move to `nowMs`: nothing then blocks for longer than a window, and no more is admitted.
   */
  settle(state: BucketState, rule: Rule, nowMs: number): BucketState;
  /**
   * Returns 0 when `cost` fits now, otherwise the milliseconds until it fits; `Infinity` when it never will.
   */
  waitMs(state: BucketState, rule: Rule, cost: number, nowMs: number): number;
  /** Returns the state after a charge of 1 or more units for which `waitMs` has returned 0. */
  charge(state: BucketState, rule: Rule, cost: number, nowMs: number): BucketState;
  /**
   * Returns the state without what of `charge` still counts, and never without more. `rule` is the one it was
   * charged under: once nothing of the charge counts, that rule has no influence on what the bucket has
   * become since.
   */
  refund(state: BucketState, rule: Rule, charge: RefundableCharge, nowMs: number): BucketState;
  /**
   * Returns the smallest state that counts, now and at every later time, at least what either state counts.
   * Both are settled at `nowMs`, and neither is written to.
   */
  merge(state: BucketState, other: BucketState, rule: Rule, nowMs: number): BucketState;
  /** Returns the units that count against the capacity now. */
  used(state: BucketState, rule: Rule, nowMs: number): number;
  /** Returns the milliseconds until nothing counts; 0 for an untouched bucket. */
  resetMs(state: BucketState, rule: Rule, nowMs: number): number;
  /**
   * Returns the time at which the used units of a decision, received at `receivedAtMs`, are charged to a copy of
   * its bucket, so that the copy is empty no earlier than the bucket itself.
   */
  chargedAtMs(receivedAtMs: number, resetAfterMs: number, windowMs: number): number;
}

/** Makes the functions of an algorithm that take a state as an array of its own. */
export const overArrays = (
  arithmetic: Arithmetic,
): Pick<Algorithm, 'arithmetic' | 'settle' | 'waitMs' | 'charge' | 'used' | 'resetMs'> => ({
  arithmetic,

  settle(state, rule, nowMs) {
    if (state.length === 0) return state;
    const length = arithmetic.settle(state, 0, state.length, rule, nowMs);
    if (length === 0) return EMPTY_STATE;
    state.length = length;
    return state;
  },

  charge(before, rule, cost, nowMs) {
    const state = before.length === 0 ? [] : before;
    state.length = arithmetic.charge(state, 0, state.length, rule, cost, nowMs);
    return state;
  },

  waitMs: (state, ...rest) => arithmetic.waitMs(state, 0, state.length, ...rest),
  used: (state, ...rest) => arithmetic.used(state, 0, state.length, ...rest),
  resetMs: (state, ...rest) => arithmetic.resetMs(state, 0, state.length, ...rest),
});
