import { type Algorithm, EMPTY_STATE } from './algorithm.js';

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

  settle(state, { windowMs }, nowMs) {
    if (state.length === 0) return state;
    const startMs = state[0] as number;
    if (startMs + windowMs <= nowMs) return EMPTY_STATE;
    if (startMs > nowMs) state[0] = nowMs;
    return state;
  },

  waitMs(state, { limit, windowMs }, cost, nowMs) {
    if (cost > limit) return Number.POSITIVE_INFINITY;
    if (state.length === 0 || (state[1] as number) + cost <= limit) return 0;
    return (state[0] as number) + windowMs - nowMs;
  },

  charge(state, _rule, cost, nowMs) {
    if (state.length === 0) return [nowMs, cost];
    state[1] = (state[1] as number) + cost;
    return state;
  },

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

  used: (state) => (state.length === 0 ? 0 : (state[1] as number)),

  resetMs: (state, { windowMs }, nowMs) => (state.length === 0 ? 0 : (state[0] as number) + windowMs - nowMs),

  // The start of the window.
  chargedAtMs: (receivedAtMs, resetAfterMs, windowMs) => receivedAtMs + resetAfterMs - windowMs,
};
