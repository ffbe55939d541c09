import {
  type Algorithm,
  type Arithmetic,
  type BucketState,
  EMPTY_STATE,
  type Numbers,
  overArrays,
  type Rule,
} from './algorithm.js';

// Layout: [total, stamp, count, stamp, count, ...], oldest first. The total is the sum of the counts.
const HEAD = 1;

/** The window is divided into this many parts, and so is the limit: a merged entry has at most one part of each. */
const PARTS = 32;
/** The most entries of a bucket. */
const MAX_ENTRIES = 96;
/** Entries may be merged over any distance until this many are left, so that not every charge merges some. */
const MERGED_ENTRIES = 80;
/** The highest limit of a policy that is exact. */
export const MAX_EXACT_LIMIT = 1_000;

const lengthOf = (entries: number): number => HEAD + 2 * entries;

/** Returns true if both times are in the same part of the window; parts are aligned with the clock. */
const isSamePart = (oneMs: number, otherMs: number, partMs: number): boolean =>
  Math.floor(oneMs / partMs) === Math.floor(otherMs / partMs);

/** Moves charges that lie ahead of now to now. */
function clamp(numbers: Numbers, at: number, length: number, nowMs: number): number {
  let last = length - 2;
  if ((numbers[at + last] as number) <= nowMs) return length;
  let ahead = 0;
  for (; last >= HEAD && (numbers[at + last] as number) > nowMs; last -= 2)
    ahead += numbers[at + last + 1] as number;
  return append(numbers, at, last + 2, nowMs, ahead);
}

/** Adds a charge to the last entry, or as a new one. */
function append(numbers: Numbers, at: number, length: number, stamp: number, count: number): number {
  const last = at + length - 2;
  if (length > HEAD && numbers[last] === stamp) {
    numbers[last + 1] = (numbers[last + 1] as number) + count;
    return length;
  }
  numbers[last + 2] = stamp;
  numbers[last + 3] = count;
  return length + 2;
}

/**
 * Merges neighbours that together have at most one part of the limit. The later stamp stands for both, so no unit ends
 * too early.
 *
 * @param partMs The length of a part of the window: neighbours in different parts stay apart. Parts are aligned, so that
 *   an entry lies in one of them however often it is merged.
 */
function mergeNeighbours(
  numbers: Numbers,
  at: number,
  length: number,
  limit: number,
  partMs: number,
): number {
  const most = Math.ceil(limit / PARTS);
  let last = at + HEAD;
  for (let next = last + 2; next < at + length; next += 2) {
    const stamp = numbers[next] as number;
    const count = numbers[next + 1] as number;
    const sum = (numbers[last + 1] as number) + count;
    if (sum <= most && isSamePart(numbers[last] as number, stamp, partMs)) numbers[last + 1] = sum;
    else {
      last += 2;
      numbers[last + 1] = count;
    }
    numbers[last] = stamp;
  }
  return last + 2 - at;
}

/** Merges entries if there are too many. Without a distance, neighbours then have more than a part together: 65 at most. */
function compact(numbers: Numbers, at: number, length: number, { limit, windowMs, isExact }: Rule): number {
  if (length <= lengthOf(isExact ? MAX_EXACT_LIMIT : MAX_ENTRIES)) return length;
  const merged = mergeNeighbours(numbers, at, length, limit, Math.ceil(windowMs / PARTS));
  if (merged <= lengthOf(MERGED_ENTRIES)) return merged;
  return mergeNeighbours(numbers, at, merged, limit, Number.POSITIVE_INFINITY);
}

const arithmetic: Arithmetic = {
  settle(numbers, at, length, { windowMs }, nowMs) {
    if (length === 0) return 0;
    let ended = HEAD;
    for (; ended < length && (numbers[at + ended] as number) + windowMs <= nowMs; ended += 2)
      numbers[at] = (numbers[at] as number) - (numbers[at + ended + 1] as number);
    if (ended >= length) return 0;
    if (ended > HEAD) numbers.copyWithin(at + HEAD, at + ended, at + length);
    return clamp(numbers, at, length - ended + HEAD, nowMs);
  },

  waitMs(numbers, at, length, { limit, windowMs }, cost, nowMs) {
    if (cost > limit) return Number.POSITIVE_INFINITY;
    let over = (length === 0 ? 0 : (numbers[at] as number)) + cost - limit;
    if (over <= 0) return 0;
    let next = at + HEAD;
    for (; over > 0; next += 2) over -= numbers[next + 1] as number;
    return (numbers[next - 2] as number) + windowMs - nowMs;
  },

  charge(numbers, at, length, rule, cost, nowMs) {
    numbers[at] = length === 0 ? cost : (numbers[at] as number) + cost;
    return compact(numbers, at, append(numbers, at, Math.max(HEAD, length), nowMs, cost), rule);
  },

  used: (numbers, at, length) => (length === 0 ? 0 : (numbers[at] as number)),

  resetMs: (numbers, at, length, { windowMs }, nowMs) =>
    length === 0 ? 0 : (numbers[at + length - 2] as number) + windowMs - nowMs,

  lengthToCharge: (length) => Math.max(HEAD, length) + 2,
};

/** Returns, from each time on, as many charges as the state that has more of them. */
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
  return [counted, ...pairs];
};

/**
 * Admits at most `limit` units in any window, wherever it starts, in bounded memory.
 *
 * It keeps the times of charges, oldest first. Beyond 96 of them it merges neighbours, and the time of the later one
 * stands for both: that many charges may end up to a 32nd of the window late, and a client that stays a 32nd below the
 * limit is never denied. A decision reads the total and the oldest entries, whatever the limit.
 */
export const slidingWindow: Algorithm = {
  code: 's',
  hasBurst: false,
  maxCapacityTimesWindow: Number.POSITIVE_INFINITY,
  boundsEveryWindow: true,
  isAdditive: true,
  maxState: lengthOf(MAX_EXACT_LIMIT),

  ...overArrays(arithmetic),

  refund(stored, rule, { cost, atMs }, nowMs) {
    const state = this.settle(stored, rule, nowMs);
    if (atMs + rule.windowMs <= nowMs) return state;
    for (let at = HEAD; at < state.length; at += 2) {
      if ((state[at] as number) < atMs) continue;
      const count = state[at + 1] as number;
      const refunded = Math.min(cost, count);
      state[0] = (state[0] as number) - refunded;
      if (refunded < count) state[at + 1] = count - refunded;
      else state.splice(at, 2);
      break;
    }
    return state.length <= HEAD ? EMPTY_STATE : state;
  },

  merge(state, other, rule) {
    if (state.length === 0 || other.length === 0) return [...state, ...other];
    const merged = mostOf(state, other);
    merged.length = compact(merged, 0, merged.length, rule);
    return merged;
  },

  // The time of the last charge: no decision reports the earlier ones.
  chargedAtMs: (receivedAtMs, resetAfterMs, windowMs) => receivedAtMs + resetAfterMs - windowMs,
};
