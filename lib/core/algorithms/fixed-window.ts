import { type Algorithm, type Arithmetic, EMPTY_STATE, overArrays } from './algorithm.js';

const arithmetic: Arithmetic = {
  settle(numbers, at, length, { windowMs }, nowMs) {
    if (length === 0) return 0;
    const startMs = numbers[at] as number;
    if (startMs + windowMs <= nowMs) return 0;
    if (startMs > nowMs) numbers[at] = nowMs;
    return length;
  },

  waitMs(numbers, at, length, { limit, windowMs }, cost, nowMs) {
    if (cost > limit) return Number.POSITIVE_INFINITY;
    if (length === 0 || (numbers[at + 1] as number) + cost <= limit) return 0;
    return (numbers[at] as number) + windowMs - nowMs;
  },

  charge(numbers, at, length, _rule, cost, nowMs) {
    if (length === 0) numbers[at] = nowMs;
    numbers[at + 1] = length === 0 ? cost : (numbers[at + 1] as number) + cost;
    return 2;
  },

  used: (numbers, at, length) => (length === 0 ? 0 : (numbers[at + 1] as number)),

  resetMs: (numbers, at, length, { windowMs }, nowMs) =>
    length === 0 ? 0 : (numbers[at] as number) + windowMs - nowMs,

  lengthToCharge: () => 2,
};

/**
 * Admits `limit` units from an identity's first charge to the end of its window, then `limit` again.
 *
 * State: `[startMs, count]`. A window starts with the identity's first charge, so that clients do not all
 * return at the full hour, and ends when `startMs + windowMs <= nowMs`.
 */
export const fixedWindow: Algorithm = {
  code: 'f',
  hasBurst: false,
  maxCapacityTimesWindow: Number.POSITIVE_INFINITY,
  boundsEveryWindow: false,
  isAdditive: false,
  maxState: 2,
  ...overArrays(arithmetic),

  refund(stored, rule, { cost, atMs, resetAfterMs }, nowMs) {
    const state = this.settle(stored, rule, nowMs);
    if (state.length === 0 || state[0] !== atMs + resetAfterMs - rule.windowMs) return state;
    const count = (state[1] as number) - cost;
    if (count <= 0) return EMPTY_STATE;
    state[1] = count;
    return state;
  },

  // A bucket has one window: the one that ends later stands for both.
  merge(state, other) {
    if (state.length === 0 || other.length === 0) return [...state, ...other];
    return [
      Math.max(state[0] as number, other[0] as number),
      Math.max(state[1] as number, other[1] as number),
    ];
  },

  // The start of the window.
  chargedAtMs: (receivedAtMs, resetAfterMs, windowMs) => receivedAtMs + resetAfterMs - windowMs,
};
