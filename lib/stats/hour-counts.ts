import { type HourCounts, MOST_LISTED, newTally, type Tally, type UserTally } from '../core/statistics.js';
import { addTally } from './rows.js';
import { uniteClients } from './unique-clients.js';

/** How long a list may grow before it is cut, so that it is not sorted at each addition. */
const CUT_AT = 2 * MOST_LISTED;

/** Adds to a user's tally. */
export function addUser(into: Map<string, UserTally>, user: string, total: number, denied: number): void {
  const tally = into.get(user);
  if (tally === undefined) into.set(user, { total, denied });
  else {
    tally.total += total;
    tally.denied += denied;
  }
}

function cut<T>(list: Map<string, T>, rank: (value: T) => number): void {
  if (list.size <= CUT_AT) return;
  const lowest = [...list].sort(([, a], [, b]) => rank(b) - rank(a)).slice(MOST_LISTED);
  for (const [name] of lowest) list.delete(name);
}

/** Adds what was counted in an hour to what was counted besides. */
export function addHour(into: HourCounts, from: HourCounts): void {
  for (const [name, tally] of from.routes) addTally(into.routes, name, tally);
  for (const [name, tally] of from.limits) addTally(into.limits, name, tally);
  uniteClients(into.clients, from.clients);
  for (const [client, denied] of from.deniedClients) {
    into.deniedClients.set(client, (into.deniedClients.get(client) ?? 0) + denied);
  }
  for (const [user, { total, denied }] of from.users) addUser(into.users, user, total, denied);
  cut(into.deniedClients, (denied) => denied);
  cut(into.users, ({ total }) => total);
}

/** All requests of an hour: each was counted under one route. */
export function requestsOf({ routes }: HourCounts): Tally {
  const all = newTally();
  for (const { allowed, denied, shadowDenied, degraded } of routes.values()) {
    all.allowed += allowed;
    all.denied += denied;
    all.shadowDenied += shadowDenied;
    all.degraded += degraded;
  }
  return all;
}
