import { ALGORITHM_NAMES, ALGORITHMS, type AlgorithmName } from './algorithms/index.js';
import { MAX_EXACT_LIMIT } from './algorithms/sliding-window.js';
import { assertConfig, describeValue } from './errors.js';
import { escapeSegment } from './escape.js';
import { type Rate, requireBurst } from './rate.js';

export const DEFAULT_ALGORITHM: AlgorithmName = 'sliding-window';

/**
 * The behaviour of a limit while the store fails: decided by each process, not enforced, or denied with a
 * 503.
 */
export type FailMode = 'local' | 'open' | 'closed';

export const FAIL_MODES: readonly FailMode[] = ['local', 'open', 'closed'];

export const DEFAULT_FAIL_MODE: FailMode = 'local';

/** One named, frozen rule. Only `definePolicy` creates policies, so that every policy is valid. */
export interface Policy {
  /** The name that clients see in headers and bodies. */
  readonly name: string;
  /** The scope that shares a bucket: a named one, a route, a class, or every route. */
  readonly scope: string;
  /** Units per window; 0 always denies. */
  readonly limit: number;
  /** The length of a window in milliseconds: 1 to ten years. */
  readonly windowMs: number;
  /** The algorithm that counts its charges. */
  readonly algorithm: AlgorithmName;
  /** The most units that count at the same time: the burst of a token bucket, otherwise the limit. */
  readonly capacity: number;
  /** The time in which an emptied bucket is full again, which clients see beside the capacity. */
  readonly refillMs: number;
  /**
   * True when a sliding window keeps the time of every charge, because a denial that an exact count would not make
   * would start a block. Only up to a limit of {@link MAX_EXACT_LIMIT}.
   */
  readonly isExact: boolean;
  /** The message for a denied client; null for the default one. */
  readonly message: string | null;
  /** The behaviour while the store fails. */
  readonly failMode: FailMode;
  /**
   * The bucket's key without the identity: `scope:policy:code:windowMs`, escaped, with the algorithm's code.
   * The limit is not in it, so that a rate may change while its buckets live.
   */
  readonly bucketKey: string;
}

export interface PolicyInput {
  readonly name: string;
  readonly scope: string;
  readonly rate: Rate;
  /** Default `sliding-window`. */
  readonly algorithm?: AlgorithmName | undefined;
  /** Capacity of a token bucket. Default: the rate's burst, otherwise its limit. */
  readonly burst?: number | undefined;
  /** True if denials start blocks. */
  readonly blocks?: boolean | undefined;
  readonly message?: string | undefined;
  /** Default `local`. */
  readonly failMode?: FailMode | undefined;
}

// A String of RFC 9651, as `RateLimit` and `RateLimit-Policy` can carry it.
const PRINTABLE_NAME = /^[\u0020-\u007e]{1,128}$/;

const BURST_ALGORITHMS = ALGORITHM_NAMES.filter((name) => ALGORITHMS[name].hasBurst);

function capacityOf(rate: Rate, burst: number | undefined, algorithm: AlgorithmName): number {
  const { hasBurst, maxCapacityTimesWindow } = ALGORITHMS[algorithm];
  assertConfig(
    burst === undefined || hasBurst,
    'bad-burst',
    `${algorithm} has no burst.`,
    `Add algorithm: '${BURST_ALGORITHMS.join(`' or '`)}', or remove the burst.`,
  );
  const capacity = burst ?? rate.limit;
  if (rate.limit > 0 || capacity !== 0) requireBurst(capacity);
  assertConfig(
    capacity * rate.windowMs <= maxCapacityTimesWindow,
    'bad-policy',
    `${capacity} units over ${rate.windowMs} ms are more than ${algorithm} counts exactly.`,
    `Use a shorter window: capacity times window in milliseconds is at most ${maxCapacityTimesWindow}.`,
  );
  return capacity;
}

const refillMsOf = ({ limit, windowMs }: Rate, capacity: number): number =>
  limit === 0 || capacity === limit ? windowMs : Math.ceil((capacity * windowMs) / limit);

/**
 * Creates a policy.
 *
 * @throws RateLimitConfigError `bad-name`, `bad-burst` or `bad-policy`.
 * @example
 * definePolicy({ name: 'login', scope: 'login', rate: { limit: 5, windowMs: 900_000 } });
 */
export function definePolicy(input: PolicyInput): Policy {
  const { name, scope, rate, algorithm = DEFAULT_ALGORITHM, burst = rate.burst } = input;
  assertConfig(
    ALGORITHM_NAMES.includes(algorithm),
    'bad-policy',
    `There is no algorithm ${describeValue(algorithm)}.`,
    `Use one of ${ALGORITHM_NAMES.join(', ')}.`,
  );
  assertConfig(
    typeof name === 'string' && PRINTABLE_NAME.test(name),
    'bad-name',
    `${describeValue(name)} cannot name a limit.`,
    'Use 1 to 128 printable ASCII characters: the name is sent in response headers.',
  );
  const capacity = capacityOf(rate, burst, algorithm);
  return Object.freeze({
    name,
    scope,
    limit: rate.limit,
    windowMs: rate.windowMs,
    algorithm,
    capacity: rate.limit === 0 ? 0 : capacity,
    refillMs: refillMsOf(rate, capacity),
    isExact: input.blocks === true && rate.limit <= MAX_EXACT_LIMIT,
    message: input.message ?? null,
    failMode: input.failMode ?? DEFAULT_FAIL_MODE,
    bucketKey: `${escapeSegment(scope)}:${escapeSegment(name)}:${ALGORITHMS[algorithm].code}:${rate.windowMs}`,
  });
}

/** Returns a policy of the same buckets with another limit, which is its capacity too. */
export const withLimit = (policy: Policy, limit: number): Policy =>
  Object.freeze({ ...policy, limit, capacity: limit, refillMs: policy.windowMs });

/**
 * Returns a policy of the same buckets that never fails a request: without the store, a `closed` one is not
 * enforced.
 */
export const asFailOpen = (policy: Policy): Policy =>
  policy.failMode === 'closed' ? Object.freeze({ ...policy, failMode: 'open' }) : policy;

/**
 * Returns the share of a policy for one of several processes that decide each for itself: rounded down, so
 * that together they admit no more, but with room for `cost`, so that a request that fits is not denied for
 * ever. Its buckets are those of the whole policy.
 */
export function perInstancePolicy(policy: Policy, instances: number, cost: number): Policy {
  if (policy.limit === 0 || instances === 1) return policy;
  const shareOf = (total: number) => Math.max(1, Math.floor(total / instances));
  const capacity = Math.min(policy.capacity, Math.max(shareOf(policy.capacity), cost));
  const limit = ALGORITHMS[policy.algorithm].hasBurst ? shareOf(policy.limit) : capacity;
  return Object.freeze({ ...policy, limit, capacity, refillMs: refillMsOf({ ...policy, limit }, capacity) });
}
