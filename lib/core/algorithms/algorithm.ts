import type { Policy } from '../policy.js';

/** What one bucket holds: whole numbers in an order that each algorithm defines. */
export type BucketState = number[];

/** The state of a bucket that nothing counts against. Never written to. */
export const EMPTY_STATE: BucketState = [];

/** What an algorithm has to know of a policy. */
export type Rule = Pick<Policy, 'limit' | 'windowMs' | 'capacity'>;

/**
 * An algorithm: functions of a state, a rule, a cost and a time, in whole numbers, with no clock of
 * their own, so that the same arithmetic decides in every store. All but `settle` and `refund` expect a state that
 * `settle` has brought to `nowMs`; all expect a limit of 1 or more.
 *
 * Those that return a state take over the one they were given and may have written into it: keep what
 * comes back, and pass a copy to leave the old one as it is. A fresh state for every charge would
 * halve the decisions a second of a store with a million buckets.
 */
export interface Algorithm {
  /**
   * The state at `nowMs`, without what has ended. What lies ahead, because a clock stepped back, moves
   * to `nowMs`: then nothing blocks for longer than a window, and nothing more is admitted.
   */
  settle(state: BucketState, rule: Rule, nowMs: number): BucketState;
  /** 0 when `cost` fits now, else the milliseconds until it does, `Infinity` when it never will. */
  waitMs(state: BucketState, rule: Rule, cost: number, nowMs: number): number;
  /** The state after charging a cost of 1 or more that `waitMs` found to fit. */
  charge(state: BucketState, rule: Rule, cost: number, nowMs: number): BucketState;
  /**
   * The state after giving back what of `charged` still counts, and never more. The rule is the one it was charged
   * under: where nothing of it counts any more, that rule has no say in what became of the bucket since.
   */
  refund(state: BucketState, rule: Rule, charged: RefundableCharge, nowMs: number): BucketState;
  /**
   * The least state that counts at least what either does, now and at all times after; both are brought to
   * `nowMs`, and neither is written to.
   */
  merge(state: BucketState, other: BucketState, rule: Rule, nowMs: number): BucketState;
  /** Units that count against the capacity now. */
  used(state: BucketState, rule: Rule, nowMs: number): number;
  /** Milliseconds until nothing counts any more: 0 when untouched. */
  resetMs(state: BucketState, rule: Rule, nowMs: number): number;
}

/** A charge to give back. */
export interface RefundableCharge {
  readonly cost: number;
  /** When it was charged, by the store's clock. */
  readonly atMs: number;
  /** How long after that its bucket was to be full again: of a fixed window, where it ends. */
  readonly resetAfterMs: number;
}
