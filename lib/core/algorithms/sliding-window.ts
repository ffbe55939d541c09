import { type Algorithm, type BucketState, EMPTY_STATE, type Rule } from './algorithm.js';

/** How many charges of different milliseconds a bucket keeps exactly. */
export const EXACT_STAMPS = 32;

/** The last millisecond of the sub-window that holds `nowMs`; a sub-window is a 32nd of the window, rounded up. */
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

const stampOf = (state: BucketState, rule: Rule, nowMs: number): number =>
  state[0] === COARSE ? subWindowEnd(rule.windowMs, nowMs) : nowMs;

const usedBy = (state: BucketState): number => {
  let sum = 0;
  for (let i = HEAD + 1; i < state.length; i += 2) sum += state[i] as number;
  return sum;
};

/** The same charges by sub-window. No stamp gets earlier by it, so that never more is admitted. */
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

/** Moves what lies ahead of now onto the stamp of now. */
const clamp = (state: BucketState, rule: Rule, nowMs: number): void => {
  const latest = stampOf(state, rule, nowMs);
  let last = state.length - 2;
  if ((state[last] as number) <= latest) return;
  let ahead = 0;
  for (; last >= HEAD && (state[last] as number) > latest; last -= 2) ahead += state[last + 1] as number;
  state.length = last + 2;
  append(state, latest, ahead);
};

/** From each time on as many charges as the one that has more of them; both of one grain. */
const mostOf = (state: BucketState, other: BucketState): BucketState => {
  const pairs: number[] = [];
  let [counted, ofState, ofOther] = [0, 0, 0];
  let [at, atOther] = [state.length - 2, other.length - 2];
  // From the newest to the oldest: what is still to count is what either has more than was counted.
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
 * Never more than `limit` in any window, wherever it starts, in bounded memory: up to 32 charges keep
 * their own times; the 33rd turns them into counts of sub-windows, of which every one that overlaps
 * the window counts in full. A client then waits at most a 32nd of the window longer than with an
 * exact log of all its requests.
 */
export const slidingWindow: Algorithm = {
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
    const kept = full && state[state.length - 2] !== nowMs ? coarsened(state, rule) : state;
    append(kept, stampOf(kept, rule, nowMs), cost);
    return kept;
  },

  refund(kept, rule, { cost, atMs }, nowMs) {
    const state = this.settle(kept, rule, nowMs);
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
};
