import uPlot from 'uplot';
import { count, counted, element, make, say } from './dom.js';
import { addUp, inSteps, type Point } from './points.js';
import { clockOf } from './time.js';

const compact = new Intl.NumberFormat(undefined, { notation: 'compact' });
const minute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const dayAndMinute = new Intl.DateTimeFormat(undefined, {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

/** Seconds are a line; hours, which are counted from their start, are bars. */
export type Kind = 'seconds' | 'hours';

interface Shown {
  readonly kind: Kind;
  /** What is shown, in words. */
  readonly title: string;
  readonly empty: string;
  readonly points: readonly Point[];
}

/** 1, 2, 5, 10 and so on: there is no half of a request. */
const WHOLE_STEPS = Array.from(
  { length: 24 },
  (_, at) => ([1, 2, 5][at % 3] as number) * 10 ** Math.floor(at / 3),
);

const TABLE_STEP: Readonly<Record<Kind, number>> = { seconds: 15, hours: 1 };

const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const timeOf = (kind: Kind, at: number): string =>
  kind === 'seconds' ? clockOf(at * 1_000) : dayAndMinute.format(at * 1_000);

/** Days are named where they begin. */
function tickOf(at: number): string {
  const date = new Date(at * 1_000);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return (isMidnight ? day : minute).format(date);
}

const inWords = ({ requests, denied, shadow }: Point): string =>
  requests === null
    ? 'not known'
    : `${counted(requests, 'request', 'requests')}, ${count(denied ?? 0)} denied${
        shadow ? `, ${count(shadow)} more under shadow limits` : ''
      }`;

const columnsOf = (points: readonly Point[]): uPlot.AlignedData => [
  points.map(({ at }) => at),
  points.map(({ requests }) => requests),
  points.map(({ denied }) => denied),
  points.map(({ shadow }) => shadow),
];

/** Requests and denials over time, as a picture and as a table. */
export class Chart {
  readonly #place = element('chart');
  readonly #readout = element('readout');
  readonly #state = element('chart-state');
  readonly #details = element<HTMLDetailsElement>('chart-details');
  readonly #rows = element<HTMLTableSectionElement>('chart-rows');
  #shown: Shown | undefined;
  #plot: uPlot | undefined;

  constructor() {
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#clear();
      if (this.#shown !== undefined) this.show(this.#shown);
    });
    this.#details.addEventListener('toggle', () => this.#list());
  }

  show(shown: Shown): void {
    const { kind, title, points } = shown;
    const isNew = this.#shown?.kind !== kind;
    if (isNew) this.#clear();
    this.#shown = shown;
    const isEmpty = points.every(({ requests }) => requests === null);
    this.#place.hidden = isEmpty;
    say(this.#state, isEmpty ? shown.empty : '');
    this.#list();
    if (isEmpty) return;
    this.#place.setAttribute('aria-label', `${title}: ${inWords(addUp(points))}`);
    if (this.#plot === undefined) {
      this.#plot = new uPlot(this.#options(kind), columnsOf(points), this.#place);
    } else this.#plot.setData(columnsOf(points));
    this.#read(this.#plot.cursor.idx);
  }

  #clear(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  #size(): { readonly width: number; readonly height: number } {
    const width = this.#place.clientWidth;
    return { width, height: width < 500 ? 200 : 260 };
  }

  /** What the pointer is on, else all of it. */
  #read(at: number | null | undefined): void {
    if (this.#shown === undefined) return;
    const { kind, title, points } = this.#shown;
    const point = at == null ? undefined : points[at];
    say(
      this.#readout,
      point === undefined
        ? `${title}: ${inWords(addUp(points))}`
        : `${timeOf(kind, point.at)}: ${inWords(point)}`,
    );
  }

  #list(): void {
    if (!this.#details.open || this.#shown === undefined) return;
    const { kind, points } = this.#shown;
    const known = inSteps(points, TABLE_STEP[kind]).filter(({ requests }) => requests !== null);
    this.#rows.replaceChildren(
      ...known
        .reverse()
        .map(({ at, requests, denied, shadow }) =>
          make(
            'tr',
            {},
            make('th', { scope: 'row' }, timeOf(kind, at)),
            ...[requests, denied, shadow].map((value) => make('td', { class: 'num' }, count(value ?? 0))),
          ),
        ),
    );
  }

  #options(kind: Kind): uPlot.Options {
    const axis = {
      stroke: colour('muted'),
      font: '12px system-ui, sans-serif',
      grid: { stroke: colour('grid'), width: 1 },
      ticks: { show: false },
    };
    const isHours = kind === 'hours';
    const drawn = {
      points: { show: false },
      ...(isHours ? { paths: uPlot.paths.bars?.({ size: [0.9, 60], align: 1 }) } : {}),
    };
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !isHours } },
      scales: {
        x: { range: (_, least, most) => [least, isHours ? most + 3_600 : most] },
        y: { range: (_, __, most) => [0, Math.max(5, most * 1.1)] },
      },
      axes: [
        {
          ...axis,
          space: 70,
          size: 32,
          ...(isHours ? {} : { incrs: [60, 120, 300] }),
          values: (_, splits) => splits.map(tickOf),
        },
        {
          ...axis,
          size: 44,
          incrs: WHOLE_STEPS,
          values: (_, splits) => splits.map((value) => compact.format(value)),
        },
      ],
      series: [
        {},
        { ...drawn, stroke: colour('requests'), fill: colour('requests-fill'), width: isHours ? 1 : 1.5 },
        { ...drawn, stroke: colour('denied'), fill: colour('denied-fill'), width: isHours ? 1 : 2 },
        { ...drawn, stroke: colour('shadow'), width: isHours ? 1 : 2, dash: [2, 4] },
      ],
      hooks: { setCursor: [(plot) => this.#read(plot.cursor.idx)] },
    };
  }
}
