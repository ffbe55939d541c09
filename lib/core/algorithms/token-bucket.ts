import { type Algorithm, type BucketState, EMPTY_STATE, type Rule } from './algorithm.js';

/** Returns the debt at `nowMs`. */
const debtAt = (state: BucketState, { limit }: Rule, nowMs: number): number => {
  if (state.length === 0) return 0;
  const elapsedMs = nowMs - (state[0] as number);
  const debt = state[1] as number;
  return elapsedMs >= Math.ceil(debt / limit) ? 0 : debt - elapsedMs * limit;
};

const withDebt = (state: BucketState, debt: number, nowMs: number): BucketState => {
  if (state.length === 0) return [nowMs, debt];
  state[0] = nowMs;
  state[1] = debt;
  return state;
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

  settle(state, rule, nowMs) {
    if (state.length === 0) return state;
    if ((state[0] as number) > nowMs) state[0] = nowMs;
    return debtAt(state, rule, nowMs) === 0 ? EMPTY_STATE : state;
  },

  waitMs(state, rule, cost, nowMs) {
    if (cost > rule.capacity) return Number.POSITIVE_INFINITY;
    const over = debtAt(state, rule, nowMs) + (cost - rule.capacity) * rule.windowMs;
    return over <= 0 ? 0 : Math.ceil(over / rule.limit);
  },

  charge: (state, rule, cost, nowMs) =>
    withDebt(state, debtAt(state, rule, nowMs) + cost * rule.windowMs, nowMs),

  refund(stored, rule, { cost, atMs }, nowMs) {
    const unpaid = cost * rule.windowMs - rule.limit * Math.max(0, nowMs - atMs);
    if (unpaid <= 0) return stored;
    const state = this.settle(stored, rule, nowMs);
    if (state.length === 0) return state;
    const debt = debtAt(state, rule, nowMs) - unpaid;
    return debt > 0 ? withDebt(state, debt, nowMs) : EMPTY_STATE;
  },

  merge: (state, other, rule, nowMs) => [
    ...(debtAt(other, rule, nowMs) > debtAt(state, rule, nowMs) ? other : state),
  ],

  used: (state, rule, nowMs) => Math.ceil(debtAt(state, rule, nowMs) / rule.windowMs),

  resetMs: (state, rule, nowMs) => Math.ceil(debtAt(state, rule, nowMs) / rule.limit),

  // A debt has no time of its own.
  chargedAtMs: (receivedAtMs) => receivedAtMs,
};
