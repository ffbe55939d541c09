import { toSeconds } from '../http/duration-words.js';
import type { Counts, StatsSnapshot } from '../observe/stats/snapshot.js';
import type { StoreHealth } from '../resilience/resilient-store.js';

/** Returns a time in the future as ISO 8601, or null for a wait of 0. */
export const isoTimeAfter = (ms: number, nowMs: number): string | null =>
  ms > 0 ? new Date(nowMs + ms).toISOString() : null;

/** Returns an identity without its kind, for lists of one kind: `203.0.113.7` for `ip:203.0.113.7`. */
const withoutKind = (identity: string): string => identity.slice(identity.indexOf(':') + 1);

const countsResponse = ({ total, allowed, denied, shadowDenied, degraded }: Counts) => ({
  total_requests: total,
  allowed,
  throttled_requests: denied,
  shadow_throttled: shadowDenied,
  degraded,
});

/** Returns the body of `GET /stats`. */
export const statsResponse = (stats: StatsSnapshot, endpointOf: (route: string) => string) => ({
  current_hour: {
    total_requests: stats.currentHour.total,
    throttled_requests: stats.currentHour.denied,
    unique_ips: stats.currentHour.uniqueClients,
  },
  top_throttled_ips: stats.topDeniedClients.map(({ identity, denied }) => ({
    ip: withoutKind(identity),
    throttled: denied,
  })),
  top_throttled_endpoints: stats.topDeniedRoutes.map(({ route, denied }) => ({
    endpoint: endpointOf(route),
    throttled: denied,
  })),
  by_endpoint: stats.byRoute.map(({ route, ...rest }) => ({
    endpoint: endpointOf(route),
    ...countsResponse(rest),
  })),
  by_limit: stats.byLimit.map(({ limit, scope, ...rest }) => ({ limit, scope, ...countsResponse(rest) })),
  by_user: stats.byUser.map(({ user, total, denied }) => ({
    user: withoutKind(user),
    total_requests: total,
    throttled_requests: denied,
  })),
  hours: stats.hours.map(({ startMs, uniqueClients, ...rest }) => ({
    hour: new Date(startMs).toISOString(),
    ...countsResponse(rest),
    unique_ips: uniqueClients,
  })),
  is_complete: stats.isComplete,
});

/** Returns the body of `GET /health`. */
export const healthResponse = ({ status, shards, degraded }: StoreHealth) => ({
  status,
  degraded,
  shards: shards.map(({ shard, breaker, failures, error, retryAfterMs }) => ({
    shard,
    breaker,
    failures,
    error,
    retry_after_seconds: toSeconds(retryAfterMs),
  })),
});

/** Returns one message of `GET /live`: the requests of this process since the message before it. */
export const liveMessage = (now: Counts, before: Counts, status: StoreHealth['status'], nowMs: number) => ({
  at: new Date(nowMs).toISOString(),
  total: now.total - before.total,
  allowed: now.allowed - before.allowed,
  denied: now.denied - before.denied,
  shadow_denied: now.shadowDenied - before.shadowDenied,
  degraded: now.degraded - before.degraded,
  store: status,
});
