import type { Route, RouteLimit } from './api.js';
import { byId, make, pluralize, setText } from './dom.js';

const SOURCE_NAMES: Readonly<Record<RouteLimit['source'], string>> = {
  module: 'module',
  class: 'class',
  method: 'method',
  scope: 'scope',
};

const title = ({ transport, method, path, route }: Route): string =>
  path === null ? `${transport} ${route}` : `${method ?? 'ALL'} ${path}`;

const searchText = (route: Route): string =>
  [title(route), route.route, route.transport, ...route.limits.flatMap(({ name, key }) => [name, key])]
    .join(' ')
    .toLowerCase();

function notes({ shadow, block, methods, conditional, counts_when }: RouteLimit): string {
  const parts = [
    ...(methods === null ? [] : [`${methods.join(', ')} only`]),
    ...(conditional ? ['conditional'] : []),
    ...(counts_when ? ['counts only certain responses'] : []),
    ...(shadow ? ['shadow: denies nothing'] : []),
    ...(block === null ? [] : [`blocks ${block}`]),
  ];
  return parts.length === 0 ? '–' : parts.join(', ');
}

const COLUMNS = 8;

function routeRows(route: Route, index: number): HTMLTableSectionElement {
  const id = `route-${index}`;
  const head = make('th', { scope: 'rowgroup', colspan: String(COLUMNS), id }, title(route));
  if (route.path !== null) head.append(' ', make('span', { class: 'muted' }, route.route));
  const body = make('tbody', {}, make('tr', { class: 'group' }, head));
  if (route.limits.length === 0) {
    body.append(make('tr', {}, make('td', { colspan: String(COLUMNS), class: 'muted' }, 'No limit')));
  }
  for (const limit of route.limits) {
    const cells = [
      limit.rate,
      limit.key,
      limit.algorithm,
      String(limit.cost),
      limit.fail_mode,
      SOURCE_NAMES[limit.source] ?? limit.source,
      notes(limit),
    ];
    body.append(
      make('tr', {}, make('th', { scope: 'row' }, limit.name), ...cells.map((text) => make('td', {}, text))),
    );
  }
  return body;
}

/** Lists every route with its limits. A filter keeps routes that contain all of its words. */
export class RoutesView {
  readonly #table = byId<HTMLTableElement>('routes-table');
  readonly #filter = byId<HTMLInputElement>('filter');
  readonly #state = byId('routes-state');
  #routes: readonly { readonly text: string; readonly body: HTMLTableSectionElement }[] = [];

  constructor() {
    this.#filter.addEventListener('input', () => this.#applyFilter());
    this.#table.hidden = true;
  }

  show(routes: readonly Route[]): void {
    this.#routes = routes.map((route, index) => ({ text: searchText(route), body: routeRows(route, index) }));
    for (const body of [...this.#table.tBodies]) body.remove();
    this.#table.append(...this.#routes.map(({ body }) => body));
    this.#applyFilter();
  }

  showError(text: string): void {
    setText(this.#state, text);
  }

  #applyFilter(): void {
    const words = this.#filter.value.toLowerCase().split(/\s+/);
    let matches = 0;
    for (const { text, body } of this.#routes) {
      body.hidden = !words.every((word) => text.includes(word));
      if (!body.hidden) matches += 1;
    }
    this.#table.hidden = matches === 0;
    const total = this.#routes.length;
    setText(
      this.#state,
      total === 0 ? 'No route has limits.' : `${matches} of ${pluralize(total, 'route', 'routes')}`,
    );
  }
}
