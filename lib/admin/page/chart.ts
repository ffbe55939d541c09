import uPlot from 'uplot';
import { byId, formatCount, make, pluralize, setText } from './dom.js';
import { addUp, addUpInSteps, type Point } from './points.js';
import { formatClock } from './time.js';

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

/** Seconds are drawn as a line; hours, which are counted from their start, as bars. */
export type Kind = 'seconds' | 'hours';

interface ChartData {
  readonly kind: Kind;
  /** Describes the time range. */
  readonly title: string;
  readonly empty: string;
  readonly points: readonly Point[];
}

/** 1, 2, 5, 10 and so on: there are no half requests. */
const WHOLE_STEPS = Array.from(
  { length: 24 },
  (_, at) => ([1, 2, 5][at % 3] as number) * 10 ** Math.floor(at / 3),
);

const TABLE_STEP: Readonly<Record<Kind, number>> = { seconds: 15, hours: 1 };

const color = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const formatTime = (kind: Kind, at: number): string =>
  kind === 'seconds' ? formatClock(at * 1_000) : dayAndMinute.format(at * 1_000);

/** Returns the label of an axis tick: the date at midnight, otherwise the time. */
function formatTick(at: number): string {
  const date = new Date(at * 1_000);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return (isMidnight ? day : minute).format(date);
}

const describePoint = ({ requests, denied, shadow }: Point): string =>
  requests === null
    ? 'unknown'
    : `${pluralize(requests, 'request', 'requests')}, ${formatCount(denied ?? 0)} denied${
        shadow ? `, ${formatCount(shadow)} more under shadow limits` : ''
      }`;

const toColumns = (points: readonly Point[]): uPlot.AlignedData => [
  points.map(({ at }) => at),
  points.map(({ requests }) => requests),
  points.map(({ denied }) => denied),
  points.map(({ shadow }) => shadow),
];

/** Shows requests and denials over time, as a chart and as a table. */
export class Chart {
  readonly #container = byId('chart');
  readonly #readout = byId('readout');
  readonly #state = byId('chart-state');
  readonly #details = byId<HTMLDetailsElement>('chart-details');
  readonly #rows = byId<HTMLTableSectionElement>('chart-rows');
  #data: ChartData | undefined;
  #plot: uPlot | undefined;

  constructor() {
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#container);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#clear();
      if (this.#data !== undefined) this.show(this.#data);
    });
    this.#details.addEventListener('toggle', () => this.#updateTable());
  }

  show(data: ChartData): void {
    const { kind, title, points } = data;
    const isNew = this.#data?.kind !== kind;
    if (isNew) this.#clear();
    this.#data = data;
    const isEmpty = points.every(({ requests }) => requests === null);
    this.#container.hidden = isEmpty;
    setText(this.#state, isEmpty ? data.empty : '');
    this.#updateTable();
    if (isEmpty) return;
    this.#container.setAttribute('aria-label', `${title}: ${describePoint(addUp(points))}`);
    if (this.#plot === undefined) {
      this.#plot = new uPlot(this.#options(kind), toColumns(points), this.#container);
    } else this.#plot.setData(toColumns(points));
    this.#updateReadout(this.#plot.cursor.idx);
  }

  #clear(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  #size(): { readonly width: number; readonly height: number } {
    const width = this.#container.clientWidth;
    return { width, height: width < 500 ? 200 : 260 };
  }

  /** Describes the point under the pointer, otherwise the whole range. */
  #updateReadout(at: number | null | undefined): void {
    if (this.#data === undefined) return;
    const { kind, title, points } = this.#data;
    const point = at == null ? undefined : points[at];
    setText(
      this.#readout,
      point === undefined
        ? `${title}: ${describePoint(addUp(points))}`
        : `${formatTime(kind, point.at)}: ${describePoint(point)}`,
    );
  }

  #updateTable(): void {
    if (!this.#details.open || this.#data === undefined) return;
    const { kind, points } = this.#data;
    const rows = addUpInSteps(points, TABLE_STEP[kind]).filter(({ requests }) => requests !== null);
    this.#rows.replaceChildren(
      ...rows
        .reverse()
        .map(({ at, requests, denied, shadow }) =>
          make(
            'tr',
            {},
            make('th', { scope: 'row' }, formatTime(kind, at)),
            ...[requests, denied, shadow].map((value) =>
              make('td', { class: 'num' }, formatCount(value ?? 0)),
            ),
          ),
        ),
    );
  }

  #options(kind: Kind): uPlot.Options {
    const axis = {
      stroke: color('muted'),
      font: '12px system-ui, sans-serif',
      grid: { stroke: color('grid'), width: 1 },
      ticks: { show: false },
    };
    const isHours = kind === 'hours';
    const style = {
      points: { show: false },
      ...(isHours ? { paths: uPlot.paths.bars?.({ size: [0.9, 60], align: 1 }) } : {}),
    };
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !isHours } },
      scales: {
        x: { range: (_, min, max) => [min, isHours ? max + 3_600 : max] },
        y: { range: (_, __, max) => [0, Math.max(5, max * 1.1)] },
      },
      axes: [
        {
          ...axis,
          space: 70,
          size: 32,
          ...(isHours ? {} : { incrs: [60, 120, 300] }),
          values: (_, splits) => splits.map(formatTick),
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
        { ...style, stroke: color('requests'), fill: color('requests-fill'), width: isHours ? 1 : 1.5 },
        { ...style, stroke: color('denied'), fill: color('denied-fill'), width: isHours ? 1 : 2 },
        { ...style, stroke: color('shadow'), width: isHours ? 1 : 2, dash: [2, 4] },
      ],
      hooks: { setCursor: [(plot) => this.#updateReadout(plot.cursor.idx)] },
    };
  }
}
