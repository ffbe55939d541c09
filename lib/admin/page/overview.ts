import type { Counts, Health, Stats } from './api.js';
import { clientLink, toIdentity } from './client.js';
import { byId, formatCount, formatShare, setText } from './dom.js';
import { limitName } from './limit-name.js';
import type { Second } from './points.js';
import { Table } from './table.js';
import { formatDuration, lastHours } from './time.js';

const setFigure = (id: string, text: string): void => setText(byId(id), text);

const countCells = (counts: Counts): readonly string[] => [
  formatCount(counts.total_requests),
  formatCount(counts.throttled_requests),
  formatShare(counts.throttled_requests, counts.total_requests),
  formatCount(counts.allowed),
  formatCount(counts.shadow_throttled),
  formatCount(counts.degraded),
];

/** Shows the figures and tables of the statistics. */
export class StatsView {
  readonly #addresses = new Table<Stats['top_throttled_ips'][number]>({
    id: 'top-addresses',
    empty: 'Nobody was denied.',
    key: ({ ip }) => ip,
    cells: ({ ip, throttled }) => [clientLink(toIdentity('ip', ip), ip), formatCount(throttled)],
  });
  readonly #endpoints = new Table<Stats['top_throttled_endpoints'][number]>({
    id: 'top-endpoints',
    empty: 'No endpoint denied a request.',
    key: ({ endpoint }) => endpoint,
    cells: ({ endpoint, throttled }) => [endpoint, formatCount(throttled)],
  });
  readonly #byEndpoint = new Table<Stats['by_endpoint'][number]>({
    id: 'by-endpoint',
    empty: 'No requests have been counted yet.',
    key: ({ endpoint }) => endpoint,
    cells: (row) => [row.endpoint, ...countCells(row)],
  });
  readonly #byLimit = new Table<Stats['by_limit'][number]>({
    id: 'by-limit',
    empty: 'No limit has decided a request yet.',
    key: ({ limit, scope }) => `${scope}\n${limit}`,
    cells: (row) => [limitName(row.limit, row.scope), ...countCells(row)],
  });
  readonly #byUser = new Table<Stats['by_user'][number]>({
    id: 'by-user',
    empty: 'No requests of users have been counted yet.',
    key: ({ user }) => user,
    cells: ({ user, total_requests, throttled_requests }) => [
      clientLink(toIdentity('user', user), user),
      formatCount(total_requests),
      formatCount(throttled_requests),
      formatShare(throttled_requests, total_requests),
    ],
  });

  get #tables() {
    return [this.#addresses, this.#endpoints, this.#byEndpoint, this.#byLimit, this.#byUser];
  }

  show(stats: Stats, hours: number): void {
    for (const span of document.querySelectorAll<HTMLElement>('.hours')) setText(span, lastHours(hours));
    const { total_requests, throttled_requests, unique_ips } = stats.current_hour;
    setFigure('hour-requests', formatCount(total_requests));
    setFigure('hour-denied', formatCount(throttled_requests));
    setFigure('hour-share', total_requests === 0 ? '' : formatShare(throttled_requests, total_requests));
    setFigure('hour-addresses', formatCount(unique_ips));
    setText(
      byId('stats-state'),
      stats.is_complete ? '' : 'These numbers are incomplete: some could not be written to the store.',
    );
    this.#addresses.show(stats.top_throttled_ips);
    this.#endpoints.show(stats.top_throttled_endpoints);
    this.#byEndpoint.show(stats.by_endpoint);
    this.#byLimit.show(stats.by_limit);
    this.#byUser.show(stats.by_user);
  }

  showError(text: string): void {
    setText(byId('stats-state'), `The statistics could not be loaded. ${text}`);
    for (const table of this.#tables) table.showError('Could not be loaded.');
  }

  showSecond({ total, denied }: Second): void {
    setFigure('now-requests', formatCount(total));
    setFigure('now-denied', formatCount(denied));
  }
}

const BREAKER_STATES: Readonly<Record<Health['shards'][number]['breaker'], string>> = {
  closed: 'closed: the store is called',
  open: 'open: the store is not called',
  'half-open': 'half-open: the store is being probed',
};

/** Shows the health of the store and its circuit breakers. */
export class HealthView {
  readonly #badge = byId('store');
  readonly #shards = new Table<Health['shards'][number]>({
    id: 'shards',
    empty: 'The store has no circuit breaker.',
    key: ({ shard }) => shard,
    cells: ({ shard, breaker, failures, error, retry_after_seconds }) => [
      shard || 'whole store',
      BREAKER_STATES[breaker] ?? breaker,
      formatCount(failures),
      error ?? '–',
      retry_after_seconds > 0 ? `in ${formatDuration(retry_after_seconds * 1_000)}` : '–',
    ],
  });

  show({ status, shards, degraded }: Health): void {
    this.showStatus(status);
    this.#shards.show(shards);
    setFigure('degraded', formatCount(degraded));
    setText(byId('health-state'), '');
  }

  showStatus(status: Health['status']): void {
    this.#badge.dataset.status = status === 'up' ? 'good' : 'bad';
    setText(this.#badge, status === 'up' ? 'Store: up' : 'Store: degraded');
  }

  showError(text: string): void {
    this.#badge.dataset.status = 'idle';
    setText(this.#badge, 'Store: unknown');
    setText(byId('health-state'), `The health of the store could not be loaded. ${text}`);
    this.#shards.showError('Could not be loaded.');
  }
}
