import { element, make, say } from './dom.js';

type Cell = string | Node;

interface Shape<Row> {
  /** The id of a `figure` of page.html: a table with its heads, and a line for what there is to say about it. */
  readonly id: string;
  readonly empty: string;
  readonly key: (row: Row) => string;
  /** The first is the head of the row. */
  readonly cells: (row: Row) => readonly Cell[];
}

/** More are shown when asked for. */
const ROWS_AT_FIRST = 15;

/** Leaves equal contents alone, so that what has the focus keeps it. */
function fill(cell: HTMLElement, content: Cell): void {
  if (typeof content === 'string') {
    if (cell.textContent !== content) cell.textContent = content;
  } else if (cell.childNodes.length !== 1 || !cell.firstChild?.isEqualNode(content)) {
    cell.replaceChildren(content);
  }
}

/** A table whose rows come again and again; a row stays the same element while its key does. */
export class Table<Row> {
  readonly #table: HTMLTableElement;
  readonly #body: HTMLTableSectionElement;
  readonly #heads: readonly HTMLTableCellElement[];
  readonly #state: HTMLElement;
  readonly #more = make('button', { type: 'button', class: 'more' });
  readonly #rows = new Map<string, HTMLTableRowElement>();
  #given: readonly Row[] = [];
  #showsAll = false;

  constructor(private readonly shape: Shape<Row>) {
    const figure = element(shape.id);
    this.#table = figure.querySelector('table') as HTMLTableElement;
    this.#body = this.#table.createTBody();
    this.#heads = [...(this.#table.tHead?.rows[0]?.cells ?? [])];
    this.#state = figure.querySelector('.state') as HTMLElement;
    figure.append(this.#more);
    this.#more.addEventListener('click', () => {
      this.#showsAll = !this.#showsAll;
      this.show(this.#given);
    });
    this.#more.hidden = true;
    this.#table.hidden = true;
  }

  show(rows: readonly Row[]): void {
    this.#given = rows;
    const focused = document.activeElement;
    const seen = new Set<string>();
    let place = this.#body.firstElementChild;
    for (const row of this.#showsAll ? rows : rows.slice(0, ROWS_AT_FIRST)) {
      let key = this.shape.key(row);
      while (seen.has(key)) key += '\n';
      seen.add(key);
      const shown = this.#rows.get(key) ?? this.#add(key);
      this.shape.cells(row).forEach((content, at) => {
        fill(shown.cells[at] as HTMLTableCellElement, content);
      });
      if (shown === place) place = place.nextElementSibling;
      else this.#body.insertBefore(shown, place);
    }
    for (const [key, row] of this.#rows) {
      if (seen.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    // A row that moves loses the focus.
    if (
      focused instanceof HTMLElement &&
      focused !== document.activeElement &&
      this.#body.contains(focused)
    ) {
      focused.focus({ preventScroll: true });
    }
    this.#table.hidden = rows.length === 0;
    this.#more.hidden = rows.length <= ROWS_AT_FIRST;
    this.#more.textContent = this.#showsAll ? 'Show fewer' : `Show all ${rows.length}`;
    say(this.#state, rows.length === 0 ? this.shape.empty : '');
  }

  /** What there is to say where rows could not be read and none are shown. */
  showError(text: string): void {
    if (this.#table.hidden) say(this.#state, text);
  }

  /** Forgets all rows. */
  clear(text: string): void {
    this.show([]);
    say(this.#state, text);
  }

  #add(key: string): HTMLTableRowElement {
    const row = make('tr');
    this.#heads.forEach((head, at) => {
      row.append(at === 0 ? make('th', { scope: 'row' }) : make('td', { class: head.className }));
    });
    this.#rows.set(key, row);
    return row;
  }
}

/** Lets tables that are larger than their place be scrolled with the keyboard, and adds no stop for the others. */
export function watchLargeTables(): void {
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const box = target.closest('.scroll') as HTMLElement;
      const isLarge = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      const attributes = {
        tabindex: '0',
        role: 'region',
        'aria-label': box.querySelector('caption')?.textContent ?? '',
      };
      for (const [name, value] of Object.entries(attributes)) {
        if (isLarge) box.setAttribute(name, value);
        else box.removeAttribute(name);
      }
    }
  });
  for (const box of document.querySelectorAll('.scroll')) {
    watch.observe(box);
    watch.observe(box.firstElementChild as Element);
  }
}
