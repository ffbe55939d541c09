/** The counts of one second, as the stream sends them. */
export interface Second {
  readonly at: string;
  readonly total: number;
  readonly allowed: number;
  readonly denied: number;
  readonly shadow_denied: number;
  readonly degraded: number;
  readonly store: 'up' | 'degraded';
}

interface Hour {
  readonly hour: string;
  readonly total_requests: number;
  readonly throttled_requests: number;
  readonly shadow_throttled: number;
}

/** What the chart draws at one time; null where nothing is known, which makes a gap. */
export interface Point {
  /** Epoch seconds, as the chart has them. */
  readonly at: number;
  readonly requests: number | null;
  readonly denied: number | null;
  readonly shadow: number | null;
}

export const LIVE_SECONDS = 300;
const HOUR_SECONDS = 3_600;

const secondsOf = (iso: string): number => Math.floor(Date.parse(iso) / 1_000);

/** So many points up to the last, each in its place. */
function upToTheLast(known: ReadonlyMap<number, Point>, length: number, apart: number): readonly Point[] {
  if (known.size === 0) return [];
  const last = Math.max(...known.keys());
  return Array.from({ length }, (_, step) => {
    const at = last - (length - 1 - step) * apart;
    return known.get(at) ?? { at, requests: null, denied: null, shadow: null };
  });
}

/** The seconds of the last five minutes. */
export class Seconds {
  readonly #known = new Map<number, Point>();

  add(second: Second): void {
    const at = secondsOf(second.at);
    this.#known.set(at, {
      at,
      requests: second.total,
      denied: second.denied,
      shadow: second.shadow_denied,
    });
    for (const old of this.#known.keys()) if (old <= at - LIVE_SECONDS) this.#known.delete(old);
  }

  points(): readonly Point[] {
    return upToTheLast(this.#known, LIVE_SECONDS, 1);
  }
}

/** So many hours up to the last that is counted. */
export function hourPoints(hours: readonly Hour[], length: number): readonly Point[] {
  const known = new Map<number, Point>();
  for (const { hour, total_requests, throttled_requests, shadow_throttled } of hours) {
    const at = secondsOf(hour);
    known.set(at, { at, requests: total_requests, denied: throttled_requests, shadow: shadow_throttled });
  }
  return upToTheLast(known, length, HOUR_SECONDS);
}

const both = (a: number | null, b: number | null): number | null =>
  a === null && b === null ? null : (a ?? 0) + (b ?? 0);

export const addUp = (points: readonly Point[]): Point =>
  points.reduce((sum, point) => ({
    at: sum.at,
    requests: both(sum.requests, point.requests),
    denied: both(sum.denied, point.denied),
    shadow: both(sum.shadow, point.shadow),
  }));

/** Points added up by so many, for a table that is short enough to read. */
export const inSteps = (points: readonly Point[], step: number): readonly Point[] =>
  Array.from({ length: Math.ceil(points.length / step) }, (_, at) =>
    addUp(points.slice(at * step, (at + 1) * step)),
  );
