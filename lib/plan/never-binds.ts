import type { Limit } from './limit.js';

/** How many requests of its own cost a limit lets through per window; null when that is not fixed. */
function requestsOf<Context>({ rate, cost }: Limit<Context>): { count: number; windowMs: number } | null {
  if (rate.kind !== 'fixed' || rate.policy === null || typeof cost !== 'number' || cost === 0) return null;
  if (rate.policy.algorithm === 'token-bucket') return null;
  return { count: Math.floor(rate.policy.limit / cost), windowMs: rate.policy.windowMs };
}

/** Whether `first` denies at the latest when `limit` does, where both are charged alike. */
function isTighter<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  if (first.rate.kind !== 'fixed' || first.rate.policy?.algorithm !== 'sliding-window') return false;
  const a = requestsOf(first);
  const b = requestsOf(limit);
  return a !== null && b !== null && a.windowMs >= b.windowMs && a.count <= b.count;
}

/** Whether every charge to `limit` is one to `first` as well, on whatever route it comes. */
function isChargedAlong<Context>(first: Limit<Context>, limit: Limit<Context>): boolean {
  if (first.shadow || limit.shadow || first.key !== limit.key) return false;
  if (limit.reach === 'route' || first.reach === 'everywhere') return true;
  return limit.reach === 'class' && first.reach === 'class';
}

/** Says of each limit of a route that can never bind which other one always denies first. */
export function neverBinding<Context>(limits: readonly Limit<Context>[]): readonly string[] {
  const redundant = new Set<Limit<Context>>();
  const found: string[] = [];
  for (const limit of limits) {
    const first = limits.find(
      (other) =>
        other !== limit && !redundant.has(other) && isChargedAlong(other, limit) && isTighter(other, limit),
    );
    if (first === undefined) continue;
    redundant.add(limit);
    found.push(
      `The limit ${JSON.stringify(limit.name)} of ${limit.place} can never bind, since ${JSON.stringify(first.name)} of ${first.place} always denies first. Remove one of them.`,
    );
  }
  return found;
}
