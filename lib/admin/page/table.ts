import { byId, make, setText } from './dom.js';

type Cell = string | Node;

interface TableOptions<Row> {
  /** The id of a `figure` in page.html with a table, its header row, and a line for its state. */
  readonly id: string;
  readonly empty: string;
  readonly key: (row: Row) => string;
  /** The first cell is the header of the row. */
  readonly cells: (row: Row) => readonly Cell[];
}

/** More are shown on request. */
const INITIAL_ROWS = 15;

/** Sets a cell's content. Leaves equal content alone, so that a focused element keeps the focus. */
function setContent(cell: HTMLElement, content: Cell): void {
  if (typeof content === 'string') {
    if (cell.textContent !== content) cell.textContent = content;
  } else if (cell.childNodes.length !== 1 || !cell.firstChild?.isEqualNode(content)) {
    cell.replaceChildren(content);
  }
}

/** A table that is updated repeatedly. Rows with the same key keep their element. */
export class Table<Row> {
  readonly #table: HTMLTableElement;
  readonly #body: HTMLTableSectionElement;
  readonly #headers: readonly HTMLTableCellElement[];
  readonly #state: HTMLElement;
  readonly #more = make('button', { type: 'button', class: 'more' });
  readonly #rows = new Map<string, HTMLTableRowElement>();
  #data: readonly Row[] = [];
  #showsAll = false;

  constructor(private readonly options: TableOptions<Row>) {
    const figure = byId(options.id);
    this.#table = figure.querySelector('table') as HTMLTableElement;
    this.#body = this.#table.createTBody();
    this.#headers = [...(this.#table.tHead?.rows[0]?.cells ?? [])];
    this.#state = figure.querySelector('.state') as HTMLElement;
    figure.append(this.#more);
    this.#more.addEventListener('click', () => {
      this.#showsAll = !this.#showsAll;
      this.show(this.#data);
    });
    this.#more.hidden = true;
    this.#table.hidden = true;
  }

  show(rows: readonly Row[]): void {
    this.#data = rows;
    const focused = document.activeElement;
    const seen = new Set<string>();
    let next = this.#body.firstElementChild;
    for (const row of this.#showsAll ? rows : rows.slice(0, INITIAL_ROWS)) {
      let key = this.options.key(row);
      while (seen.has(key)) key += '\n';
      seen.add(key);
      const element = this.#rows.get(key) ?? this.#add(key);
      this.options.cells(row).forEach((content, at) => {
        setContent(element.cells[at] as HTMLTableCellElement, content);
      });
      if (element === next) next = next.nextElementSibling;
      else this.#body.insertBefore(element, next);
    }
    for (const [key, row] of this.#rows) {
      if (seen.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    // Moving a row takes the focus away from it.
    if (
      focused instanceof HTMLElement &&
      focused !== document.activeElement &&
      this.#body.contains(focused)
    ) {
      focused.focus({ preventScroll: true });
    }
    this.#table.hidden = rows.length === 0;
    this.#more.hidden = rows.length <= INITIAL_ROWS;
    this.#more.textContent = this.#showsAll ? 'Show fewer' : `Show all ${rows.length}`;
    setText(this.#state, rows.length === 0 ? this.options.empty : '');
  }

  /** Shows why rows could not be loaded, unless earlier ones are still shown. */
  showError(text: string): void {
    if (this.#table.hidden) setText(this.#state, text);
  }

  /** Removes all rows. */
  clear(text: string): void {
    this.show([]);
    setText(this.#state, text);
  }

  #add(key: string): HTMLTableRowElement {
    const row = make('tr');
    this.#headers.forEach((header, at) => {
      row.append(at === 0 ? make('th', { scope: 'row' }) : make('td', { class: header.className }));
    });
    this.#rows.set(key, row);
    return row;
  }
}

/** Makes tables that overflow their box scrollable by keyboard, without a tab stop for the others. */
export function makeOverflowFocusable(): void {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const box = target.closest('.scroll') as HTMLElement;
      const overflows = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      const attributes = {
        tabindex: '0',
        role: 'region',
        'aria-label': box.querySelector('caption')?.textContent ?? '',
      };
      for (const [name, value] of Object.entries(attributes)) {
        if (overflows) box.setAttribute(name, value);
        else box.removeAttribute(name);
      }
    }
  });
  for (const box of document.querySelectorAll('.scroll')) {
    observer.observe(box);
    observer.observe(box.firstElementChild as Element);
  }
}
