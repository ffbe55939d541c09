import { toSeconds } from '../http/duration-words.js';
import type { Counts, StatsSnapshot } from '../observe/stats/snapshot.js';
import type { StoreHealth } from '../resilience/health.js';

/** A moment as the API writes it; null for none. */
export const isoTimeAfter = (ms: number, nowMs: number): string | null =>
  ms > 0 ? new Date(nowMs + ms).toISOString() : null;

/** An identity without its kind, where that is clear: `203.0.113.7` of `ip:203.0.113.7`. */
const withoutKind = (identity: string): string => identity.slice(identity.indexOf(':') + 1);

const counts = ({ total, allowed, denied, shadowDenied, degraded }: Counts) => ({
  total_requests: total,
  allowed,
  throttled_requests: denied,
  shadow_throttled: shadowDenied,
  degraded,
});

/** `GET /stats`. */
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
  by_endpoint: stats.byRoute.map(({ route, ...rest }) => ({ endpoint: endpointOf(route), ...counts(rest) })),
  by_limit: stats.byLimit.map(({ limit, scope, ...rest }) => ({ limit, scope, ...counts(rest) })),
  by_user: stats.byUser.map(({ user, total, denied }) => ({
    user: withoutKind(user),
    total_requests: total,
    throttled_requests: denied,
  })),
  hours: stats.hours.map(({ startMs, uniqueClients, ...rest }) => ({
    hour: new Date(startMs).toISOString(),
    ...counts(rest),
    unique_ips: uniqueClients,
  })),
  is_complete: stats.isComplete,
});

/** `GET /health`. */
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

/** One message of `GET /live`: what this process has counted since the one before. */
export const liveMessage = (now: Counts, before: Counts, status: StoreHealth['status'], nowMs: number) => ({
  at: new Date(nowMs).toISOString(),
  total: now.total - before.total,
  allowed: now.allowed - before.allowed,
  denied: now.denied - before.denied,
  shadow_denied: now.shadowDenied - before.shadowDenied,
  degraded: now.degraded - before.degraded,
  store: status,
});
