import {
  emptyHour,
  emptyTally,
  type HourCounts,
  MAX_LISTED,
  type SharedCounts,
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
export interface ReadHour extends Pick<SharedCounts, 'counts' | 'uniqueClients'> {
  /** `false` if the store failed, so that only this process is included. */
  readonly isComplete: boolean;
}

export const HOUR_MS = 3_600_000;

/** Routes and limits of an hour. Their names come from code, so there are few: this is a bound for code that generates them. */
const MAX_NAMES = 5_000;
/** The name under which everything is counted beyond `MAX_NAMES`. */
const OTHER = 'other';

/** Size at which a list is trimmed to `MAX_LISTED`, so that it is not sorted with each addition. */
const TRIM_AT = 2 * MAX_LISTED;

/** Returns the number of all requests, or decisions. */
export const totalOf = ({ allowed, denied }: Tally): number => allowed + denied;

export const toCounts = (tally: Tally): Counts => ({ total: totalOf(tally), ...tally });

/** Returns the tally of a name, or that of `OTHER` once there are too many. */
export function tallyOf(tallies: Map<string, Tally>, name: string): Tally {
  const existing = tallies.get(name);
  if (existing !== undefined) return existing;
  if (tallies.size >= MAX_NAMES && name !== OTHER) return tallyOf(tallies, OTHER);
  const created = emptyTally();
  tallies.set(name, created);
  return created;
}

export function addTally(into: Tally, { allowed, denied, shadowDenied, degraded }: Tally): void {
  into.allowed += allowed;
  into.denied += denied;
  into.shadowDenied += shadowDenied;
  into.degraded += degraded;
}

/** Adds the counts of an hour to those of another one. */
export function mergeHour(into: HourCounts, from: HourCounts): void {
  for (const table of ['routes', 'limits', 'deniedClients', 'users'] as const) {
    for (const [name, tally] of from[table]) addTally(tallyOf(into[table], name), tally);
  }
  trim(into.deniedClients);
  trim(into.users);
}

function trim(list: Map<string, Tally>): void {
  if (list.size <= TRIM_AT) return;
  for (const [name] of sortHighest(list).slice(MAX_LISTED)) list.delete(name);
}

/** Sums up all requests of an hour: each is counted under one route. */
export function sumRequests({ routes }: HourCounts): Tally {
  const sum = emptyTally();
  for (const tally of routes.values()) addTally(sum, tally);
  return sum;
}

/** Puts hours together. The last one is the current hour. */
export function createSnapshot(hours: readonly ReadHour[], top: number): StatsSnapshot {
  const sum = emptyHour(0);
  for (const { counts } of hours) mergeHour(sum, counts);
  const stats = hours.map(({ counts, uniqueClients }) => ({
    startMs: counts.hour * HOUR_MS,
    ...toCounts(sumRequests(counts)),
    uniqueClients,
  }));
  const denials = ({ denied }: Tally): number => denied;
  return {
    isComplete: hours.every(({ isComplete }) => isComplete),
    currentHour: stats.at(-1) as HourStats,
    hours: stats,
    topDeniedClients: sortHighest(sum.deniedClients)
      .slice(0, top)
      .map(([address, { denied }]) => ({ identity: `ip:${address}`, denied })),
    topDeniedRoutes: sortHighest(sum.routes, denials)
      .slice(0, top)
      .map(([route, { denied }]) => ({ route, denied }))
      .filter(({ denied }) => denied > 0),
    byRoute: sortHighest(sum.routes).map(([route, tally]) => ({ route, ...toCounts(tally) })),
    byLimit: sortHighest(sum.limits).map(([key, tally]) => ({ ...splitLimitKey(key), ...toCounts(tally) })),
    byUser: sortHighest(sum.users)
      .slice(0, top)
      .map(([user, tally]) => ({ user, total: totalOf(tally), denied: tally.denied })),
  };
}

/** The reverse of `limitKey`. */
function splitLimitKey(key: string): { limit: string; scope: string } {
  const [limit = '', ...scope] = key.split('\n');
  return { limit, scope: scope.join('\n') };
}

/** Sorts equal counts by name, so that a list that is refreshed does not jump about. */
const sortHighest = (
  tallies: ReadonlyMap<string, Tally>,
  rank: (tally: Tally) => number = totalOf,
): [name: string, tally: Tally][] =>
  [...tallies].sort(([a, x], [b, y]) => rank(y) - rank(x) || (a < b ? -1 : 1));
