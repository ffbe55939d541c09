import { type Decision, isDenial, type Outcome } from '../core/decision.js';
import { formatDuration, retryAfterSeconds, toSeconds } from './duration-words.js';

/** The default body of a 429. */
export interface RateLimitBody {
  /** The HTTP status. */
  readonly statusCode: 429;
  /** For programs. */
  readonly error: 'rate_limit_exceeded';
  /** For people: the limit's `message`, otherwise how long to wait. */
  readonly message: string;
  /** Details of the limit and the wait. */
  readonly details: {
    /** The name of the limit that decided. */
    readonly throttle_type: string;
    /** As in `Retry-After`; null when no wait helps. */
    readonly retry_after_seconds: number | null;
    /** Epoch seconds, by the store's clock. */
    readonly retry_after_timestamp: number | null;
    /** The wait in words, such as `15 minutes`; null when no wait helps. */
    readonly retry_after_human: string | null;
  };
}

/**
 * The body of a 429 as problem details.
 * Source: RFC 9457; the type and its member come from draft-ietf-httpapi-ratelimit-headers-11.
 */
export interface RateLimitProblem {
  /** The kind of problem. */
  readonly type: 'https://iana.org/assignments/http-problem-types#quota-exceeded';
  /** The kind of problem in words. */
  readonly title: string;
  /** The HTTP status. */
  readonly status: 429;
  /** For people: the limit's `message`, otherwise how long to wait. */
  readonly detail: string;
  /** The names of the limits that denied. */
  readonly 'violated-policies': readonly string[];
}

const defaultMessage = (seconds: number | null): string =>
  seconds === null
    ? 'This request exceeds what its rate limit can ever admit.'
    : `Too many requests. Try again in ${formatDuration(seconds)}.`;

const messageOf = (decision: Decision, seconds: number | null): string =>
  decision.charge.policy.message ?? defaultMessage(seconds);

/** Returns the default body of a denial, from the decision that clients see. */
export function jsonBody(decision: Decision): RateLimitBody {
  const seconds = retryAfterSeconds(decision.retryAfterMs);
  return {
    statusCode: 429,
    error: 'rate_limit_exceeded',
    message: messageOf(decision, seconds),
    details: {
      throttle_type: decision.name,
      retry_after_seconds: seconds,
      retry_after_timestamp: seconds === null ? null : toSeconds(decision.atMs) + seconds,
      retry_after_human: seconds === null ? null : formatDuration(seconds),
    },
  };
}

/** Returns the body of a denial as problem details. */
export function problemBody(decision: Decision, { decisions }: Outcome): RateLimitProblem {
  return {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail: messageOf(decision, retryAfterSeconds(decision.retryAfterMs)),
    'violated-policies': decisions.filter(isDenial).map(({ name }) => name),
  };
}

const REDUCED_CAPACITY = 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity';
const UNAVAILABLE = 'The request could not be checked against its rate limit. Try again shortly.';

/** The default body of a 503, sent when nobody knows whether the request is within its limits. */
export interface RateLimitUnavailableBody {
  readonly statusCode: 503;
  readonly error: 'rate_limit_unavailable';
  /** The type that the problem details have. */
  readonly type: typeof REDUCED_CAPACITY;
  readonly message: string;
}

/** Returns the default body for a request that could not be decided. */
export const unavailableBody = (): RateLimitUnavailableBody => ({
  statusCode: 503,
  error: 'rate_limit_unavailable',
  type: REDUCED_CAPACITY,
  message: UNAVAILABLE,
});

/**
 * Returns the body for a request that could not be decided, as problem details.
 * Source: see {@link RateLimitProblem}.
 *
 * @param limits The names of the limits that need the store.
 */
export const unavailableProblem = (limits: readonly string[]): RateLimitUnavailableProblem => ({
  type: REDUCED_CAPACITY,
  title: 'Request cannot be satisfied due to temporary server capacity constraints',
  status: 503,
  detail: UNAVAILABLE,
  'violated-policies': limits,
});

/** The body of a 503 as problem details. */
export interface RateLimitUnavailableProblem {
  readonly type: typeof REDUCED_CAPACITY;
  readonly title: string;
  readonly status: 503;
  readonly detail: string;
  readonly 'violated-policies': readonly string[];
}

export const PROBLEM_TYPE = 'application/problem+json';
