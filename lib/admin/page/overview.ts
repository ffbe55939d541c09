import type { Counts, Health, Stats } from './api.js';
import { clientLink, identityOf } from './client.js';
import { count, element, say, share } from './dom.js';
import { limitName } from './names.js';
import type { Second } from './points.js';
import { Table } from './table.js';
import { formatDuration, lastHours } from './time.js';

const figure = (id: string, text: string): void => say(element(id), text);

const countCells = (counts: Counts): readonly string[] => [
  count(counts.total_requests),
  count(counts.throttled_requests),
  share(counts.throttled_requests, counts.total_requests),
  count(counts.allowed),
  count(counts.shadow_throttled),
  count(counts.degraded),
];

/** The figures and tables of the statistics. */
export class StatsView {
  readonly #addresses = new Table<Stats['top_throttled_ips'][number]>({
    id: 'top-addresses',
    empty: 'Nobody was denied.',
    key: ({ ip }) => ip,
    cells: ({ ip, throttled }) => [clientLink(identityOf('ip', ip), ip), count(throttled)],
  });
  readonly #endpoints = new Table<Stats['top_throttled_endpoints'][number]>({
    id: 'top-endpoints',
    empty: 'No endpoint denied anybody.',
    key: ({ endpoint }) => endpoint,
    cells: ({ endpoint, throttled }) => [endpoint, count(throttled)],
  });
  readonly #byEndpoint = new Table<Stats['by_endpoint'][number]>({
    id: 'by-endpoint',
    empty: 'No request is counted yet.',
    key: ({ endpoint }) => endpoint,
    cells: (row) => [row.endpoint, ...countCells(row)],
  });
  readonly #byLimit = new Table<Stats['by_limit'][number]>({
    id: 'by-limit',
    empty: 'No limit has decided anything yet.',
    key: ({ limit, scope }) => `${scope}\n${limit}`,
    cells: (row) => [limitName(row.limit, row.scope), ...countCells(row)],
  });
  readonly #byUser = new Table<Stats['by_user'][number]>({
    id: 'by-user',
    empty: 'No request of a user is counted yet.',
    key: ({ user }) => user,
    cells: ({ user, total_requests, throttled_requests }) => [
      clientLink(identityOf('user', user), user),
      count(total_requests),
      count(throttled_requests),
      share(throttled_requests, total_requests),
    ],
  });

  get #tables() {
    return [this.#addresses, this.#endpoints, this.#byEndpoint, this.#byLimit, this.#byUser];
  }

  show(stats: Stats, hours: number): void {
    for (const span of document.querySelectorAll<HTMLElement>('.hours')) say(span, lastHours(hours));
    const { total_requests, throttled_requests, unique_ips } = stats.current_hour;
    figure('hour-requests', count(total_requests));
    figure('hour-denied', count(throttled_requests));
    figure('hour-share', total_requests === 0 ? '' : share(throttled_requests, total_requests));
    figure('hour-addresses', count(unique_ips));
    say(
      element('stats-state'),
      stats.is_complete ? '' : 'These numbers are not complete: some could not be written to the store.',
    );
    this.#addresses.show(stats.top_throttled_ips);
    this.#endpoints.show(stats.top_throttled_endpoints);
    this.#byEndpoint.show(stats.by_endpoint);
    this.#byLimit.show(stats.by_limit);
    this.#byUser.show(stats.by_user);
  }

  showError(text: string): void {
    say(element('stats-state'), `The statistics could not be read. ${text}`);
    for (const table of this.#tables) table.showError('Could not be read.');
  }

  showSecond({ total, denied }: Second): void {
    figure('now-requests', count(total));
    figure('now-denied', count(denied));
  }
}

const BREAKERS: Readonly<Record<Health['shards'][number]['breaker'], string>> = {
  closed: 'closed: it is called',
  open: 'open: it is not called',
  'half-open': 'half open: it is being probed',
};

/** The store and its breakers. */
export class HealthView {
  readonly #badge = element('store');
  readonly #parts = new Table<Health['shards'][number]>({
    id: 'parts',
    empty: 'The store has no breaker.',
    key: ({ shard }) => shard,
    cells: ({ shard, breaker, failures, error, retry_after_seconds }) => [
      shard || 'the store',
      BREAKERS[breaker] ?? breaker,
      count(failures),
      error ?? '–',
      retry_after_seconds > 0 ? `in ${formatDuration(retry_after_seconds * 1_000)}` : '–',
    ],
  });

  show({ status, shards, degraded }: Health): void {
    this.showStatus(status);
    this.#parts.show(shards);
    figure('degraded', count(degraded));
    say(element('health-state'), '');
  }

  showStatus(status: Health['status']): void {
    this.#badge.dataset.is = status === 'up' ? 'good' : 'bad';
    say(this.#badge, status === 'up' ? 'Store: up' : 'Store: degraded');
  }

  showError(text: string): void {
    this.#badge.dataset.is = 'idle';
    say(this.#badge, 'Store: not known');
    say(element('health-state'), `The health of the store could not be read. ${text}`);
    this.#parts.showError('Could not be read.');
  }
}
