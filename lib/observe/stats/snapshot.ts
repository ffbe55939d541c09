import {
  emptyHour,
  emptyTally,
  type HourCounts,
  MAX_LISTED,
  type Tally,
} from '../../store/shared-counters.js';

/** Numbers of requests, or of decisions of a limit, by result. */
export interface Counts extends Readonly<Tally> {
  /** `allowed` and `denied` together. */
  readonly total: number;
}

/** Counts of an hour. */
export interface HourStats extends Counts {
  /** Start of the hour in epoch milliseconds: a full hour of UTC. */
  readonly startMs: number;
  /** Addresses that sent requests: an estimate with a standard error of 0.81 %. */
  readonly uniqueClients: number;
}

/** A client that was denied. */
export interface DeniedClient {
  /** Such as `ip:203.0.113.7`. */
  readonly identity: string;
  /** Denials that are certain; there may have been more where many clients are denied. */
  readonly denied: number;
}

/** A route that denied requests. */
export interface DeniedRoute {
  /** Name of the route; `other` for all after the first 5,000. */
  readonly route: string;
  readonly denied: number;
}

/** Counts of a route. */
export interface RouteStats extends Counts {
  /** Name of the route; `other` for all after the first 5,000. */
  readonly route: string;
}

/**
 * Decisions of a limit. `allowed` are those that did not reject the request, including `shadowDenied` ones, which a
 * shadow limit would have. A request that another limit rejects counts as `allowed` here.
 */
export interface LimitStats extends Counts {
  /** Name of the limit, as clients see it; `other` for all after the first 5,000. */
  readonly limit: string;
  /** Scope of its buckets: a named scope, a route, a class or every route. Limits of different scopes may have one name. */
  readonly scope: string;
}

/** Requests of a user. */
export interface UserStats {
  /** Such as `user:42`. */
  readonly user: string;
  /** Requests that are certain; there may have been more where there are many users. */
  readonly total: number;
  /** Requests among them that were denied. */
  readonly denied: number;
}

/** Statistics of the last hours, as plain data. Lists are sorted from the highest count; lists of identities hold only the highest. */
export interface StatsSnapshot {
  /** `false` if a shared store did not answer, so that some counts are of this process only. */
  readonly isComplete: boolean;
  /** The current hour. */
  readonly currentHour: HourStats;
  /** The requested hours, from the oldest to the current one. */
  readonly hours: readonly HourStats[];
  /** Different addresses in all of these hours, by the same estimate. */
  readonly uniqueClients: number;
  /** The clients with the most denials. */
  readonly topDeniedClients: readonly DeniedClient[];
  /** The routes with the most denials. */
  readonly topDeniedRoutes: readonly DeniedRoute[];
  /** All routes with requests. */
  readonly byRoute: readonly RouteStats[];
  /** All limits with decisions. */
  readonly byLimit: readonly LimitStats[];
  /** The users with the most requests. */
  readonly byUser: readonly UserStats[];
}

/** Counts of an hour, and the estimate of its clients. */
export interface CountedHour {
  readonly counts: HourCounts;
  readonly uniqueClients: number;
}

/** Size at which a list is trimmed to `MAX_LISTED`, so that it is not sorted with each addition. */
const TRIM_AT = 2 * MAX_LISTED;

export const HOUR_MS = 3_600_000;

/** Returns the number of all requests, or decisions. */
export const totalOf = ({ allowed, denied }: Tally): number => allowed + denied;

export const toCounts = (tally: Tally): Counts => ({ total: totalOf(tally), ...tally });

const addTallies = (a: Tally, b: Tally): Tally => ({
  allowed: a.allowed + b.allowed,
  denied: a.denied + b.denied,
  shadowDenied: a.shadowDenied + b.shadowDenied,
  degraded: a.degraded + b.degraded,
});

function mergeTallies(into: Map<string, Tally>, from: ReadonlyMap<string, Tally>): void {
  for (const [name, tally] of from) into.set(name, addTallies(into.get(name) ?? emptyTally(), tally));
}

/** Adds the counts of an hour to those of another one. */
export function mergeHour(into: HourCounts, from: HourCounts): void {
  mergeTallies(into.routes, from.routes);
  mergeTallies(into.limits, from.limits);
  for (const [client, denied] of from.deniedClients) {
    into.deniedClients.set(client, (into.deniedClients.get(client) ?? 0) + denied);
  }
  for (const [user, { total, denied }] of from.users) {
    const before = into.users.get(user) ?? { total: 0, denied: 0 };
    into.users.set(user, { total: before.total + total, denied: before.denied + denied });
  }
  trim(into.deniedClients, (denied) => denied);
  trim(into.users, ({ total }) => total);
}

function trim<T>(list: Map<string, T>, rank: (value: T) => number): void {
  if (list.size <= TRIM_AT) return;
  for (const [name] of sortHighest(list, rank).slice(MAX_LISTED)) list.delete(name);
}

/** Sums up all requests of an hour: each is counted under one route. */
export function sumRequests({ routes }: HourCounts): Tally {
  return [...routes.values()].reduce(addTallies, emptyTally());
}

/** Puts hours together. The last one is the current hour. */
export function createSnapshot(
  hours: readonly CountedHour[],
  uniqueClients: number,
  top: number,
  isComplete: boolean,
): StatsSnapshot {
  const sum = emptyHour(0);
  for (const { counts } of hours) mergeHour(sum, counts);
  const stats = hours.map(({ counts, uniqueClients }) => ({
    startMs: counts.hour * HOUR_MS,
    ...toCounts(sumRequests(counts)),
    uniqueClients,
  }));
  const deniedRoutes = sortHighest(sum.routes, ({ denied }) => denied).filter(([, { denied }]) => denied > 0);
  return {
    isComplete,
    currentHour: stats.at(-1) as HourStats,
    hours: stats,
    uniqueClients,
    topDeniedClients: sortHighest(sum.deniedClients, (denied) => denied)
      .slice(0, top)
      .map(([identity, denied]) => ({ identity, denied })),
    topDeniedRoutes: deniedRoutes.slice(0, top).map(([route, { denied }]) => ({ route, denied })),
    byRoute: sortHighest(sum.routes, totalOf).map(([route, tally]) => ({ route, ...toCounts(tally) })),
    byLimit: sortHighest(sum.limits, totalOf).map(([key, tally]) => ({
      ...splitLimitKey(key),
      ...toCounts(tally),
    })),
    byUser: sortHighest(sum.users, ({ total }) => total)
      .slice(0, top)
      .map(([user, { total, denied }]) => ({ user, total, denied })),
  };
}

/** The reverse of `limitKey`. */
function splitLimitKey(key: string): { limit: string; scope: string } {
  const [limit = '', ...scope] = key.split('\n');
  return { limit, scope: scope.join('\n') };
}

/** Sorts equal counts by name, so that a list that is refreshed does not jump about. */
const sortHighest = <T>(
  counts: ReadonlyMap<string, T>,
  rank: (value: T) => number,
): [name: string, value: T][] => [...counts].sort(([a, x], [b, y]) => rank(y) - rank(x) || (a < b ? -1 : 1));
