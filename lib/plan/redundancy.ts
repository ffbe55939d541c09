import { ALGORITHMS } from '../core/algorithms/index.js';
import { MAX_EXACT_LIMIT } from '../core/algorithms/sliding-window.js';
import { describeValue } from '../core/errors.js';
import type { Policy } from '../core/policy.js';
import type { Limit } from './limit.js';

/** Returns the policy and the cost of a limit that denies by both alone; null when they are not fixed. */
function fixedCharge<Context>({
  rate,
  cost,
  shadow,
}: Limit<Context>): { policy: Policy; cost: number } | null {
  if (shadow || rate.kind !== 'fixed' || rate.policy === null || typeof cost !== 'number') return null;
  return { policy: rate.policy, cost };
}

/** Returns true if `first` denies no later than `limit`, when both are charged the same requests. */
function isTighter<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  if (first.key !== limit.key || first.condition !== null) return false;
  if (first.methods !== null || first.countWhen !== null) return false;
  const [a, b] = [fixedCharge(first), fixedCharge(limit)];
  if (a === null || b === null || a.cost === 0 || b.cost === 0) return false;
  if (!ALGORITHMS[a.policy.algorithm].boundsEveryWindow || ALGORITHMS[b.policy.algorithm].hasBurst)
    return false;
  return (
    a.policy.windowMs >= b.policy.windowMs &&
    Math.floor(a.policy.limit / a.cost) <= Math.floor(b.policy.limit / b.cost)
  );
}

/** Returns true if all requests that share a bucket of `limit` also share a bucket of `first`. */
function sharesRoutesWith<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  return limit.reach === 'route' || first.reach === 'global' || first.reach === limit.reach;
}

const bucketOf = <Context>({ scope, name }: Limit<Context>): string => `${scope} ${name}`;

/**
 * Returns a warning for each limit that has no effect, because another one always denies first. Takes the
 * limits of every route, since a limit may have an effect on only one of them. Leaves out named scopes, which
 * `RateLimiter` charges alone.
 */
export function redundantLimits<Context>(routes: Iterable<readonly Limit<Context>[]>): readonly string[] {
  // Each bucket's limit, with the one that denies first on every route seen so far; undefined once a route has none.
  const candidates = new Map<string, readonly [limit: Limit<Context>, first: Limit<Context> | undefined]>();
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
      const [, before] = candidates.get(bucketOf(limit)) ?? [limit, first];
      // Two routes with different tighter limits may fill it together.
      const isSame = first && before && bucketOf(first) === bucketOf(before);
      candidates.set(bucketOf(limit), [limit, isSame ? before : undefined]);
    }
  }
  return [...candidates.values()].flatMap(([limit, first]) =>
    first === undefined
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
  return limits.flatMap((limit) => {
    const charge = fixedCharge(limit);
    if (charge === null || charge.policy.limit === 0 || charge.cost <= charge.policy.capacity) return [];
    return [
      `The limit ${describeValue(limit.name)} of ${limit.source} denies every request: each costs ${charge.cost}, and the limit admits at most ${charge.policy.capacity}. Lower the cost or raise the limit.`,
    ];
  });
}

/**
 * Returns a warning for each limit whose denials start blocks although its sliding window is not exact, because of its
 * high limit.
 */
export function inexactBlocks<Context>(limits: readonly Limit<Context>[]): readonly string[] {
  return limits.flatMap(({ rate, blockDurationsMs, name, source }) => {
    if (blockDurationsMs.length === 0) return [];
    const policies =
      rate.kind === 'fixed' ? [rate.policy] : rate.kind === 'tiers' ? rate.policies.values() : [];
    const isInexact = [...policies].some(
      (policy) => policy !== null && policy.algorithm === 'sliding-window' && !policy.isExact,
    );
    return isInexact
      ? [
          `The limit ${describeValue(name)} of ${source} may block a client that has used only 31/32 of it: above ${MAX_EXACT_LIMIT}, a sliding window is not exact. Use a limit of at most ${MAX_EXACT_LIMIT}, or algorithm: 'fixed-window' or 'token-bucket'.`,
        ]
      : [];
  });
}
