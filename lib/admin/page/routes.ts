import type { Route, RouteLimit } from './api.js';
import { counted, element, make, say } from './dom.js';

const SOURCES: Readonly<Record<RouteLimit['source'], string>> = {
  module: 'the module',
  class: 'the class',
  method: 'the method',
  scope: 'a scope',
};

const title = ({ transport, method, path, route }: Route): string =>
  path === null ? `${transport} ${route}` : `${method ?? 'ALL'} ${path}`;

const searched = (route: Route): string =>
  [title(route), route.route, route.transport, ...route.limits.flatMap(({ name, key }) => [name, key])]
    .join(' ')
    .toLowerCase();

function remarks({ shadow, block, methods, conditional, counts_when }: RouteLimit): string {
  const parts = [
    ...(methods === null ? [] : [`${methods.join(', ')} alone`]),
    ...(conditional ? ['on a condition'] : []),
    ...(counts_when ? ['counts some results alone'] : []),
    ...(shadow ? ['shadow: denies nobody'] : []),
    ...(block === null ? [] : [`blocks ${block}`]),
  ];
  return parts.length === 0 ? '–' : parts.join(', ');
}

const COLUMNS = 8;

function rowsOf(route: Route, at: number): HTMLTableSectionElement {
  const id = `route-${at}`;
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
      SOURCES[limit.source] ?? limit.source,
      remarks(limit),
    ];
    body.append(
      make('tr', {}, make('th', { scope: 'row' }, limit.name), ...cells.map((text) => make('td', {}, text))),
    );
  }
  return body;
}

/** Every route with its limits; a filter leaves those that hold all of its words. */
export class RoutesView {
  readonly #table = element<HTMLTableElement>('routes-table');
  readonly #filter = element<HTMLInputElement>('filter');
  readonly #state = element('routes-state');
  #shown: readonly { readonly words: string; readonly body: HTMLTableSectionElement }[] = [];

  constructor() {
    this.#filter.addEventListener('input', () => this.#narrow());
    this.#table.hidden = true;
  }

  show(routes: readonly Route[]): void {
    this.#shown = routes.map((route, at) => ({ words: searched(route), body: rowsOf(route, at) }));
    for (const body of [...this.#table.tBodies]) body.remove();
    this.#table.append(...this.#shown.map(({ body }) => body));
    this.#narrow();
  }

  showError(text: string): void {
    say(this.#state, text);
  }

  #narrow(): void {
    const words = this.#filter.value.toLowerCase().split(/\s+/);
    let left = 0;
    for (const { words: text, body } of this.#shown) {
      body.hidden = !words.every((word) => text.includes(word));
      if (!body.hidden) left += 1;
    }
    this.#table.hidden = left === 0;
    const all = this.#shown.length;
    say(this.#state, all === 0 ? 'No route has limits.' : `${left} of ${counted(all, 'route', 'routes')}`);
  }
}
