import { type Algorithm, type BucketState, EMPTY_STATE, type Rule } from './algorithm.js';

/** The number of charges of different milliseconds whose times a bucket keeps. */
const EXACT_STAMPS = 32;

/**
 * Returns the last millisecond of the sub-window around `nowMs`. A sub-window is a 32nd of the window,
 * rounded up.
 */
const subWindowEnd = (windowMs: number, nowMs: number): number => {
  const lengthMs = Math.ceil(windowMs / 32);
  return (Math.floor(nowMs / lengthMs) + 1) * lengthMs - 1;
};

// Layout: [grain, stamp, count, stamp, count, ...], oldest first. A stamp is the time of a charge
// while the grain is EXACT, and the end of its sub-window once it is COARSE.
const EXACT = 0;
const COARSE = 1;
const HEAD = 1;
const FULL_OF_STAMPS = HEAD + 2 * EXACT_STAMPS;
// A window that starts within a sub-window overlaps 33 of them.
const FULL_OF_COUNTS = HEAD + 2 * 33;

const stampOf = (state: BucketState, rule: Rule, nowMs: number): number =>
  state[0] === COARSE ? subWindowEnd(rule.windowMs, nowMs) : nowMs;

const usedBy = (state: BucketState): number => {
  let sum = 0;
  for (let i = HEAD + 1; i < state.length; i += 2) sum += state[i] as number;
  return sum;
};

/** Returns the same charges as counts of sub-windows. No stamp gets earlier, so no more is admitted. */
const coarsened = (state: BucketState, rule: Rule): BucketState => {
  const coarse = [COARSE];
  for (let i = HEAD; i < state.length; i += 2) {
    append(coarse, subWindowEnd(rule.windowMs, state[i] as number), state[i + 1] as number);
  }
  return coarse;
};

const append = (state: BucketState, stamp: number, count: number): void => {
  const last = state.length - 2;
  if (last >= HEAD && state[last] === stamp) state[last + 1] = (state[last + 1] as number) + count;
  else state.push(stamp, count);
};

/** Moves charges that lie ahead of now to the stamp of now. */
const clamp = (state: BucketState, rule: Rule, nowMs: number): void => {
  const latest = stampOf(state, rule, nowMs);
  let last = state.length - 2;
  if ((state[last] as number) <= latest) return;
  let ahead = 0;
  for (; last >= HEAD && (state[last] as number) > latest; last -= 2) ahead += state[last + 1] as number;
  state.length = last + 2;
  append(state, latest, ahead);
};

/**
 * Returns, from each time on, as many charges as the state that has more of them. Both have the same grain.
 */
const mostOf = (state: BucketState, other: BucketState): BucketState => {
  const pairs: number[] = [];
  let [counted, ofState, ofOther] = [0, 0, 0];
  let [at, atOther] = [state.length - 2, other.length - 2];
  // From the newest to the oldest, adds what either state counts beyond what was added before.
  while (at >= HEAD || atOther >= HEAD) {
    const stamp = Math.max(
      at >= HEAD ? (state[at] as number) : Number.NEGATIVE_INFINITY,
      atOther >= HEAD ? (other[atOther] as number) : Number.NEGATIVE_INFINITY,
    );
    for (; at >= HEAD && state[at] === stamp; at -= 2) ofState += state[at + 1] as number;
    for (; atOther >= HEAD && other[atOther] === stamp; atOther -= 2) ofOther += other[atOther + 1] as number;
    const more = Math.max(ofState, ofOther) - counted;
    counted += more;
    if (more > 0) pairs.unshift(stamp, more);
  }
  return [state[0] as number, ...pairs];
};

/**
 * Admits at most `limit` units in any window, wherever it starts, in bounded memory.
 *
 * Up to 32 charges keep their own times. The 33rd turns them into counts of sub-windows, and every sub-window
 * that overlaps the window counts in full. A client then waits at most a 32nd of the window longer than with
 * an exact log of all its requests.
 */
export const slidingWindow: Algorithm = {
  code: 's',
  hasBurst: false,
  maxCapacityTimesWindow: Number.POSITIVE_INFINITY,
  boundsEveryWindow: true,
  isAdditive: true,
  maxState: FULL_OF_COUNTS,

  settle(state, rule, nowMs) {
    if (state.length === 0) return state;
    let ended = HEAD;
    while (ended < state.length && (state[ended] as number) + rule.windowMs <= nowMs) ended += 2;
    if (ended >= state.length) return EMPTY_STATE;
    if (ended > HEAD) state.splice(HEAD, ended - HEAD);
    clamp(state, rule, nowMs);
    return state;
  },

  waitMs(state, { limit, windowMs }, cost, nowMs) {
    if (cost > limit) return Number.POSITIVE_INFINITY;
    let over = usedBy(state) + cost - limit;
    if (over <= 0) return 0;
    let at = HEAD;
    for (; over > 0; at += 2) over -= state[at + 1] as number;
    return (state[at - 2] as number) + windowMs - nowMs;
  },

  charge(state, rule, cost, nowMs) {
    if (state.length === 0) return [EXACT, nowMs, cost];
    const full = state[0] === EXACT && state.length === FULL_OF_STAMPS;
    const next = full && state[state.length - 2] !== nowMs ? coarsened(state, rule) : state;
    append(next, stampOf(next, rule, nowMs), cost);
    return next;
  },

  refund(stored, rule, { cost, atMs }, nowMs) {
    const state = this.settle(stored, rule, nowMs);
    if (state.length === 0) return state;
    const stamp = stampOf(state, rule, atMs);
    for (let i = HEAD; i < state.length; i += 2) {
      if (state[i] !== stamp) continue;
      const count = (state[i + 1] as number) - cost;
      if (count > 0) state[i + 1] = count;
      else state.splice(i, 2);
      break;
    }
    return state.length === HEAD ? EMPTY_STATE : state;
  },

  merge(state, other, rule) {
    if (state.length === 0 || other.length === 0) return [...state, ...other];
    const isExact = state[0] === EXACT && other[0] === EXACT;
    const merged = isExact ? mostOf(state, other) : mostOf(coarsened(state, rule), coarsened(other, rule));
    return merged.length > FULL_OF_STAMPS ? coarsened(merged, rule) : merged;
  },

  used: usedBy,

  resetMs: (state, { windowMs }, nowMs) =>
    state.length === 0 ? 0 : (state[state.length - 2] as number) + windowMs - nowMs,

  // The time of the last charge: no decision reports the earlier ones.
  chargedAtMs: (receivedAtMs, resetAfterMs, windowMs) => receivedAtMs + resetAfterMs - windowMs,
};
