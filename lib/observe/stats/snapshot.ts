import type { HourCounts, Tally } from '../../store/shared-counters.js';
import { mergeHour, requestsOf } from './hour-counts.js';
import { estimate } from './hyperloglog.js';

/** How many requests there were, and what became of them. */
export interface Counts extends Readonly<Tally> {
  /** `allowed` and `denied` together. */
  readonly total: number;
}

/** What happened in an hour. */
export interface HourStats extends Counts {
  /** When it began, in epoch milliseconds: a full hour of UTC. */
  readonly startMs: number;
  /** Addresses that asked, by an estimate with a standard error of 1.6 %. */
  readonly uniqueClients: number;
}

/** A client that was denied. */
export interface DeniedClient {
  /** Such as `ip:203.0.113.7`. */
  readonly identity: string;
  /** How often for sure: there may have been more where many clients are denied. */
  readonly denied: number;
}

/** A route that denied. */
export interface DeniedRoute {
  /** Its name; `other` for all after the first 5,000. */
  readonly route: string;
  /** How many of its requests were denied. */
  readonly denied: number;
}

/** What became of the requests of a route. */
export interface RouteStats extends Counts {
  /** Its name; `other` for all after the first 5,000. */
  readonly route: string;
}

/**
 * What a limit decided. `allowed` are those that it did not turn away, among them the `shadowDenied`, which a
 * shadow limit would have; a request that another limit turned away is `allowed` by this one.
 */
export interface LimitStats extends Counts {
  /** Its name, as clients see it; `other` for all after the first 5,000. */
  readonly limit: string;
  /** What shares its buckets: a named scope, a route, a class, or every route; limits of different scopes may have one name. */
  readonly scope: string;
}

/** What a user asked for. */
export interface UserStats {
  /** Such as `user:42`. */
  readonly user: string;
  /** How often for sure: there may have been more where many users ask. */
  readonly total: number;
  /** Of these, how many were denied. */
  readonly denied: number;
}

/** Statistics of the last hours, as plain data. Lists of identities hold the highest only; all lists begin with the highest. */
export interface StatsSnapshot {
  /** Whether all processes are in it: `false` where the store is shared and did not answer, so that some hours are of this process alone. */
  readonly isComplete: boolean;
  /** The hour under way. */
  readonly currentHour: HourStats;
  /** Every hour asked for, the oldest first, the one under way last. */
  readonly hours: readonly HourStats[];
  /** Different addresses in all of these hours, by the same estimate. */
  readonly uniqueClients: number;
  /** The clients who were denied most. */
  readonly topDeniedClients: readonly DeniedClient[];
  /** The routes that denied most. */
  readonly topDeniedRoutes: readonly DeniedRoute[];
  /** All routes that were asked for. */
  readonly byRoute: readonly RouteStats[];
  /** All limits that decided. */
  readonly byLimit: readonly LimitStats[];
  /** The users who asked most. */
  readonly byUser: readonly UserStats[];
}

/** A tally with its sum. */
export const toCounts = ({ allowed, denied, shadowDenied, degraded }: Tally): Counts => ({
  total: allowed + denied,
  allowed,
  denied,
  shadowDenied,
  degraded,
});

const HOUR_MS = 3_600_000;

const hourStats = (counts: HourCounts): HourStats => ({
  startMs: counts.hour * HOUR_MS,
  ...toCounts(requestsOf(counts)),
  uniqueClients: estimate(counts.clients),
});

/** Where counts are equal by name, so that a list does not jump about. */
const highest = <T>(list: T[], count: (item: T) => number, name: (item: T) => string): T[] =>
  list.sort((a, b) => count(b) - count(a) || (name(a) < name(b) ? -1 : 1));

function limitOf(key: string): { limit: string; scope: string } {
  const [limit = '', ...scope] = key.split('\n');
  return { limit, scope: scope.join('\n') };
}

/** Puts hours, the oldest first, together. */
export function createSnapshot(
  hours: readonly HourCounts[],
  all: HourCounts,
  top: number,
  isComplete: boolean,
): StatsSnapshot {
  for (const hour of hours) mergeHour(all, hour);
  const stats = hours.map(hourStats);
  const byRoute = [...all.routes].map(([route, tally]) => ({ route, ...toCounts(tally) }));
  const byLimit = [...all.limits].map(([key, tally]) => ({ ...limitOf(key), ...toCounts(tally) }));
  const clients = [...all.deniedClients].map(([identity, denied]) => ({ identity, denied }));
  const users = [...all.users].map(([user, { total, denied }]) => ({ user, total, denied }));
  const deniedRoutes = byRoute
    .filter(({ denied }) => denied > 0)
    .map(({ route, denied }) => ({ route, denied }));
  return {
    isComplete,
    currentHour: stats.at(-1) as HourStats,
    hours: stats,
    uniqueClients: estimate(all.clients),
    topDeniedClients: highest(
      clients,
      ({ denied }) => denied,
      ({ identity }) => identity,
    ).slice(0, top),
    topDeniedRoutes: highest(
      deniedRoutes,
      ({ denied }) => denied,
      ({ route }) => route,
    ).slice(0, top),
    byRoute: highest(
      byRoute,
      ({ total }) => total,
      ({ route }) => route,
    ),
    byLimit: highest(
      byLimit,
      ({ total }) => total,
      ({ limit, scope }) => `${limit} ${scope}`,
    ),
    byUser: highest(
      users,
      ({ total }) => total,
      ({ user }) => user,
    ).slice(0, top),
  };
}
