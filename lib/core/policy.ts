import { configError, describeValue } from './errors.js';
import { escapeSegment } from './escape.js';
import type { Rate } from './rate.js';

/**
 * How charges fade:
 * - `sliding-window`: never more than `limit` in any window, wherever it starts.
 * - `fixed-window`: `limit` from the first request to the end of its window, then afresh.
 * - `token-bucket`: `limit` per window flow in evenly, up to `burst` can be saved up.
 */
export type AlgorithmName = 'sliding-window' | 'fixed-window' | 'token-bucket';

export const ALGORITHM_NAMES: readonly AlgorithmName[] = ['sliding-window', 'fixed-window', 'token-bucket'];

export const DEFAULT_ALGORITHM: AlgorithmName = 'sliding-window';

/** What becomes of a limit while the store fails. */
export type FailMode = 'local' | 'open' | 'closed';

export const FAIL_MODES: readonly FailMode[] = ['local', 'open', 'closed'];

export const DEFAULT_FAIL_MODE: FailMode = 'local';

/** How algorithms stand in the names of buckets, which are kept with each of them. */
const LETTERS: Readonly<Record<AlgorithmName, string>> = {
  'sliding-window': 's',
  'fixed-window': 'f',
  'token-bucket': 't',
};

/** One named, frozen rule. Made by `definePolicy` alone, so that what holds one holds a valid one. */
export interface Policy {
  /** What clients see in headers and bodies. */
  readonly name: string;
  /** What shares a bucket: a named scope, a route, a class, or every route. */
  readonly scope: string;
  /** Units per window; 0 always denies. */
  readonly limit: number;
  /** The length of a window in milliseconds: 1 to ten years. */
  readonly windowMs: number;
  /** How charges fade. */
  readonly algorithm: AlgorithmName;
  /** The most units that can be charged at once: the burst of a token bucket, else the limit. */
  readonly capacity: number;
  /** Time in which an emptied bucket is full again: what clients are told beside the capacity. */
  readonly refillMs: number;
  /** What a denied client reads in place of the usual message; null for the usual one. */
  readonly message: string | null;
  /** What becomes of it while the store fails. */
  readonly failMode: FailMode;
  /**
   * `scope:policy:algorithm:windowMs`, escaped, the algorithm by a letter: the bucket's key without the
   * identity. The limit is not in it, so that a rate may change while its buckets live.
   */
  readonly bucketKey: string;
}

export interface PolicyInput {
  readonly name: string;
  readonly scope: string;
  readonly rate: Rate;
  /** Default `sliding-window`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** Capacity of a token bucket; default the rate's burst, else its limit. */
  readonly burst?: number | undefined;
  readonly message?: string | undefined;
  /** Default `local`. */
  readonly failMode?: FailMode | undefined;
}

// A String of RFC 9651: what `RateLimit` and `RateLimit-Policy` can carry.
const PRINTABLE_NAME = /^[\u0020-\u007e]{1,128}$/;

/** Throws `bad-name` for a name that the rate-limit headers could not carry. */
export function requireName(name: unknown): string {
  if (typeof name === 'string' && PRINTABLE_NAME.test(name)) return name;
  throw configError(
    'bad-name',
    `${describeValue(name)} cannot name a limit.`,
    'Use 1 to 128 printable ASCII characters: the name stands in response headers.',
  );
}

// Twice the debt of a full bucket has to stay an exact integer in a double.
const MAX_DEBT = 2 ** 52;

function capacityOf({ rate, algorithm, burst = rate.burst }: PolicyInput): number {
  if (algorithm !== 'token-bucket') {
    if (burst === undefined) return rate.limit;
    throw configError(
      'bad-burst',
      `A burst means nothing to ${algorithm ?? DEFAULT_ALGORITHM}.`,
      `Add algorithm: 'token-bucket', or leave the burst out.`,
    );
  }
  const capacity = burst ?? rate.limit;
  if (!Number.isSafeInteger(capacity) || capacity < 0 || (capacity === 0 && rate.limit > 0)) {
    throw configError(
      'bad-burst',
      `A burst of ${describeValue(capacity)} is no capacity.`,
      'Give a whole number, 1 or more.',
    );
  }
  if (capacity * rate.windowMs > MAX_DEBT) {
    throw configError(
      'bad-policy',
      `${capacity} units over ${rate.windowMs} ms are more than a token bucket counts exactly.`,
      'Keep capacity times window in milliseconds within 2^52 (52 million a day): take a shorter window.',
    );
  }
  return capacity;
}

const refillMsOf = ({ limit, windowMs }: Rate, capacity: number): number =>
  limit === 0 || capacity === limit ? windowMs : Math.ceil((capacity * windowMs) / limit);

/**
 * Makes a policy, or throws `bad-name`, `bad-burst` or `bad-policy`.
 *
 * @example
 * definePolicy({ name: 'login', scope: 'login', rate: { limit: 5, windowMs: 900_000 } });
 */
export function definePolicy(input: PolicyInput): Policy {
  const { scope, rate, algorithm = DEFAULT_ALGORITHM } = input;
  if (!ALGORITHM_NAMES.includes(algorithm)) {
    throw configError(
      'bad-policy',
      `There is no algorithm ${describeValue(algorithm)}.`,
      `Choose one of ${ALGORITHM_NAMES.join(', ')}.`,
    );
  }
  const name = requireName(input.name);
  const capacity = capacityOf({ ...input, algorithm });
  return Object.freeze({
    name,
    scope,
    limit: rate.limit,
    windowMs: rate.windowMs,
    algorithm,
    capacity: rate.limit === 0 ? 0 : capacity,
    refillMs: refillMsOf(rate, capacity),
    message: input.message ?? null,
    failMode: input.failMode ?? DEFAULT_FAIL_MODE,
    bucketKey: `${escapeSegment(scope)}:${escapeSegment(name)}:${LETTERS[algorithm]}:${rate.windowMs}`,
  });
}

/** A policy of the same buckets with another limit; of a window, whose capacity is its limit. */
export const withLimit = (policy: Policy, limit: number): Policy =>
  Object.freeze({ ...policy, limit, capacity: limit, refillMs: policy.windowMs });

/** A policy of the same buckets that never fails a request: one that needs the store is left out without it. */
export const asFailOpen = (policy: Policy): Policy =>
  policy.failMode === 'closed' ? Object.freeze({ ...policy, failMode: 'open' }) : policy;

/**
 * The part of a policy that falls to one of several processes, which decide each for itself: rounded down,
 * so that together they admit no more, but with room for `cost`, so that a request that fits is not denied
 * for ever. Its buckets are those of the whole policy.
 */
export function perInstancePolicy(policy: Policy, instances: number, cost: number): Policy {
  if (policy.limit === 0 || instances === 1) return policy;
  const part = (whole: number) => Math.max(1, Math.floor(whole / instances));
  const capacity = Math.min(policy.capacity, Math.max(part(policy.capacity), cost));
  const limit = policy.algorithm === 'token-bucket' ? part(policy.limit) : capacity;
  return Object.freeze({ ...policy, limit, capacity, refillMs: refillMsOf({ ...policy, limit }, capacity) });
}
