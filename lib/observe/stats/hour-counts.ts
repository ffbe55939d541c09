import {
  emptyTally,
  type HourCounts,
  MAX_LISTED,
  type Tally,
  type UserTally,
} from '../../store/shared-counters.js';
import { mergeTally } from './counter-table.js';
import { mergeRegisters } from './hyperloglog.js';

/** How long a list may grow before it is cut, so that it is not sorted at each addition. */
const TRIM_AT = 2 * MAX_LISTED;

/** Adds to a user's tally. */
export function mergeUser(into: Map<string, UserTally>, user: string, total: number, denied: number): void {
  const tally = into.get(user);
  if (tally === undefined) into.set(user, { total, denied });
  else {
    tally.total += total;
    tally.denied += denied;
  }
}

function trim<T>(list: Map<string, T>, rank: (value: T) => number): void {
  if (list.size <= TRIM_AT) return;
  const lowest = [...list].sort(([, a], [, b]) => rank(b) - rank(a)).slice(MAX_LISTED);
  for (const [name] of lowest) list.delete(name);
}

/** Adds what was counted in an hour to what was counted besides. */
export function mergeHour(into: HourCounts, from: HourCounts): void {
  for (const [name, tally] of from.routes) mergeTally(into.routes, name, tally);
  for (const [name, tally] of from.limits) mergeTally(into.limits, name, tally);
  mergeRegisters(into.clients, from.clients);
  for (const [client, denied] of from.deniedClients) {
    into.deniedClients.set(client, (into.deniedClients.get(client) ?? 0) + denied);
  }
  for (const [user, { total, denied }] of from.users) mergeUser(into.users, user, total, denied);
  trim(into.deniedClients, (denied) => denied);
  trim(into.users, ({ total }) => total);
}

/** All requests of an hour: each was counted under one route. */
export function requestsOf({ routes }: HourCounts): Tally {
  const all = emptyTally();
  for (const { allowed, denied, shadowDenied, degraded } of routes.values()) {
    all.allowed += allowed;
    all.denied += denied;
    all.shadowDenied += shadowDenied;
    all.degraded += degraded;
  }
  return all;
}
