import { ALGORITHMS } from '../core/algorithms/index.js';
import { describeValue } from '../core/errors.js';
import type { Limit } from './limit.js';

/** Returns how many requests of its own cost a limit admits per window; null when that is not fixed. */
function requestsPerWindow<Context>({
  rate,
  cost,
}: Limit<Context>): { count: number; windowMs: number } | null {
  if (rate.kind !== 'fixed' || rate.policy === null || typeof cost !== 'number' || cost === 0) return null;
  if (ALGORITHMS[rate.policy.algorithm].hasBurst) return null;
  return { count: Math.floor(rate.policy.limit / cost), windowMs: rate.policy.windowMs };
}

/** Returns whether `first` denies no later than `limit`, when both are charged the same requests. */
function isTighter<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  if (first.shadow || limit.shadow || first.key !== limit.key) return false;
  if (first.condition !== null || first.methods !== null || first.countWhen !== null) return false;
  if (first.rate.kind !== 'fixed' || first.rate.policy === null) return false;
  if (!ALGORITHMS[first.rate.policy.algorithm].boundsEveryWindow) return false;
  const a = requestsPerWindow(first);
  const b = requestsPerWindow(limit);
  return a !== null && b !== null && a.windowMs >= b.windowMs && a.count <= b.count;
}

/** Returns whether all requests that share a bucket of `limit` also share a bucket of `first`. */
function sharesRoutesWith<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  return limit.reach === 'route' || first.reach === 'global' || first.reach === limit.reach;
}

const bucketOf = <Context>({ scope, name }: Limit<Context>): string => `${scope} ${name}`;

interface Candidate<Context> {
  readonly limit: Limit<Context>;
  /** The limit that denies first on every route seen so far; null once there is a route without one. */
  first: Limit<Context> | null;
}

/**
 * Returns a warning for each limit that has no effect, because another one always denies first. Takes the
 * limits of every route, since a limit may have an effect on only one of them. Leaves out named scopes, which
 * `RateLimiter` charges alone.
 */
export function redundantLimits<Context>(routes: Iterable<readonly Limit<Context>[]>): readonly string[] {
  const candidates = new Map<string, Candidate<Context>>();
  for (const limits of routes) {
    const redundant = new Set<Limit<Context>>();
    for (const limit of limits) {
      if (limit.reach === 'scope') continue;
      const first = limits.find(
        (other) =>
          other !== limit &&
          !redundant.has(other) &&
          sharesRoutesWith(other, limit) &&
          isTighter(other, limit),
      );
      if (first !== undefined) redundant.add(limit);
      const bucket = bucketOf(limit);
      const candidate = candidates.get(bucket);
      if (candidate === undefined) candidates.set(bucket, { limit, first: first ?? null });
      // Two routes with different tighter limits may fill it together.
      else if (first === undefined || bucketOf(first) !== (candidate.first && bucketOf(candidate.first)))
        candidate.first = null;
    }
  }
  return [...candidates.values()].flatMap(({ limit, first }) =>
    first === null
      ? []
      : [
          `The limit ${describeValue(limit.name)} of ${limit.source} has no effect: ${describeValue(first.name)} of ${first.source} always denies first. Remove one of them.`,
        ],
  );
}

/**
 * Returns a warning for each limit that denies every request, because its fixed cost exceeds its capacity.
 */
export function impossibleLimits<Context>(limits: readonly Limit<Context>[]): readonly string[] {
  return limits.flatMap(({ rate, cost, name, source, shadow }) =>
    !shadow &&
    rate.kind === 'fixed' &&
    rate.policy !== null &&
    typeof cost === 'number' &&
    cost > rate.policy.capacity &&
    rate.policy.limit > 0
      ? [
          `The limit ${describeValue(name)} of ${source} denies every request: each costs ${cost}, and the limit admits at most ${rate.policy.capacity}. Lower the cost or raise the limit.`,
        ]
      : [],
  );
}
