import { describeValue } from '../core/errors.js';
import type { Limit } from './limit.js';

/** How much a limit lets through per window, in requests of its own cost; null when that is not fixed. */
function requestsPerWindow<Context>({
  rate,
  cost,
}: Limit<Context>): { count: number; windowMs: number } | null {
  if (rate.kind !== 'fixed' || rate.policy === null || typeof cost !== 'number' || cost === 0) return null;
  if (rate.policy.algorithm === 'token-bucket') return null;
  return { count: Math.floor(rate.policy.limit / cost), windowMs: rate.policy.windowMs };
}

/** Whether `first` denies at the latest when `limit` does, where both are charged alike. */
function isTighter<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  if (first.shadow || limit.shadow || first.key !== limit.key || first.condition !== null) return false;
  if (first.countWhen !== null) return false;
  if (first.rate.kind !== 'fixed' || first.rate.policy?.algorithm !== 'sliding-window') return false;
  const a = requestsPerWindow(first);
  const b = requestsPerWindow(limit);
  return a !== null && b !== null && a.windowMs >= b.windowMs && a.count <= b.count;
}

/** Whether the buckets of `first` are charged along with those of `limit` on each route that has both. */
function sharesRoutesWith<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  return limit.reach === 'route' || first.reach === 'global' || first.reach === limit.reach;
}

const bucketOf = <Context>({ scope, name }: Limit<Context>): string => `${scope} ${name}`;

interface Candidate<Context> {
  readonly limit: Limit<Context>;
  /** What denies first on every route seen so far; null once there is a route on which nothing does. */
  first: Limit<Context> | null;
}

/**
 * Says of each limit that can never bind which other one always denies first. Given the limits of every
 * route, since a limit may bind on one route alone. Named scopes are left out: the service charges them
 * by themselves.
 */
export function redundantLimits<Context>(routes: Iterable<readonly Limit<Context>[]>): readonly string[] {
  const findings = new Map<string, Candidate<Context>>();
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
      const known = findings.get(bucket);
      if (known === undefined) findings.set(bucket, { limit, first: first ?? null });
      // Two routes with different tighter limits may fill it together.
      else if (first === undefined || bucketOf(first) !== (known.first && bucketOf(known.first)))
        known.first = null;
    }
  }
  return [...findings.values()].flatMap(({ limit, first }) =>
    first === null
      ? []
      : [
          `The limit ${describeValue(limit.name)} of ${limit.source} can never bind, since ${describeValue(first.name)} of ${first.source} always denies first. Remove one of them.`,
        ],
  );
}

/** Says of each limit whose fixed cost is above what it ever admits that it denies every request. */
export function impossibleLimits<Context>(limits: readonly Limit<Context>[]): readonly string[] {
  return limits.flatMap(({ rate, cost, name, source, shadow }) =>
    !shadow &&
    rate.kind === 'fixed' &&
    rate.policy !== null &&
    typeof cost === 'number' &&
    cost > rate.policy.capacity &&
    rate.policy.limit > 0
      ? [
          `The limit ${describeValue(name)} of ${source} denies every request: each costs ${cost}, and ${rate.policy.capacity} is all it admits.`,
        ]
      : [],
  );
}
