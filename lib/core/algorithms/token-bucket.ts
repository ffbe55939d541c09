import {
  type Algorithm,
  type Arithmetic,
  EMPTY_STATE,
  type Numbers,
  overArrays,
  type Rule,
} from './algorithm.js';

/** Returns the debt of a state, at most that of an emptied bucket: the limit may have been lowered since. */
const debtOf = (numbers: Numbers, at: number, { capacity, windowMs }: Rule): number =>
  Math.min(numbers[at + 1] as number, capacity * windowMs);

/** Returns the debt at `nowMs`. */
const debtAt = (numbers: Numbers, at: number, length: number, rule: Rule, nowMs: number): number => {
  if (length === 0) return 0;
  const { limit } = rule;
  const elapsedMs = nowMs - (numbers[at] as number);
  const debt = debtOf(numbers, at, rule);
  return elapsedMs >= Math.ceil(debt / limit) ? 0 : debt - elapsedMs * limit;
};

const arithmetic: Arithmetic = {
  settle(numbers, at, length, rule, nowMs) {
    if (length === 0) return 0;
    if ((numbers[at] as number) > nowMs) {
      numbers[at + 1] = debtOf(numbers, at, rule);
      numbers[at] = nowMs;
    }
    return debtAt(numbers, at, length, rule, nowMs) === 0 ? 0 : length;
  },

  waitMs(numbers, at, length, rule, cost, nowMs) {
    if (cost > rule.capacity) return Number.POSITIVE_INFINITY;
    const over = debtAt(numbers, at, length, rule, nowMs) + (cost - rule.capacity) * rule.windowMs;
    return over <= 0 ? 0 : Math.ceil(over / rule.limit);
  },

  charge(numbers, at, length, rule, cost, nowMs) {
    numbers[at + 1] = debtAt(numbers, at, length, rule, nowMs) + cost * rule.windowMs;
    numbers[at] = nowMs;
    return 2;
  },

  used: (numbers, at, length, rule, nowMs) =>
    Math.ceil(debtAt(numbers, at, length, rule, nowMs) / rule.windowMs),

  resetMs: (numbers, at, length, rule, nowMs) =>
    Math.ceil(debtAt(numbers, at, length, rule, nowMs) / rule.limit),

  lengthToCharge: () => 2,
};

/**
 * Refills `limit` units per window evenly, and saves up to `capacity` units for a burst.
 *
 * State: `[atMs, debt]`, the debt at `atMs` in units times `windowMs`, of which `limit` are paid back per
 * millisecond. These are integers, and exact at every rate. A stored arrival time with a rounded interval
 * between requests is not.
 *
 * Source: the leaky bucket as a meter, https://en.wikipedia.org/wiki/Leaky_bucket.
 */
export const tokenBucket: Algorithm = {
  code: 't',
  hasBurst: true,
  // Twice the debt of a full bucket has to stay an exact integer in a double.
  maxCapacityTimesWindow: 2 ** 52,
  boundsEveryWindow: false,
  isAdditive: false,
  maxState: 2,
  ...overArrays(arithmetic),

  refund(stored, rule, { cost, atMs }, nowMs) {
    const unpaid = cost * rule.windowMs - rule.limit * Math.max(0, nowMs - atMs);
    if (unpaid <= 0) return stored;
    const state = this.settle(stored, rule, nowMs);
    if (state.length === 0) return state;
    const debt = debtAt(state, 0, 2, rule, nowMs) - unpaid;
    if (debt <= 0) return EMPTY_STATE;
    state[0] = nowMs;
    state[1] = debt;
    return state;
  },

  merge: (state, other, rule, nowMs) => [
    ...(debtAt(other, 0, other.length, rule, nowMs) > debtAt(state, 0, state.length, rule, nowMs)
      ? other
      : state),
  ],

  // A debt has no time of its own.
  chargedAtMs: (receivedAtMs) => receivedAtMs,
};
