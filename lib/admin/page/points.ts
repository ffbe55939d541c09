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

/** One point of the chart; null for unknown values, which are drawn as a gap. */
export interface Point {
  /** Epoch seconds, the unit of the chart. */
  readonly at: number;
  readonly requests: number | null;
  readonly denied: number | null;
  readonly shadow: number | null;
}

export const LIVE_SECONDS = 300;
const HOUR_SECONDS = 3_600;

const toEpochSeconds = (iso: string): number => Math.floor(Date.parse(iso) / 1_000);

/** Returns `length` points up to the latest one, with gaps for those that are missing. */
function withGaps(points: ReadonlyMap<number, Point>, length: number, stepSeconds: number): readonly Point[] {
  if (points.size === 0) return [];
  const last = Math.max(...points.keys());
  return Array.from({ length }, (_, step) => {
    const at = last - (length - 1 - step) * stepSeconds;
    return points.get(at) ?? { at, requests: null, denied: null, shadow: null };
  });
}

/** Keeps the seconds of the last five minutes. */
export class Seconds {
  readonly #points = new Map<number, Point>();

  add(second: Second): void {
    const at = toEpochSeconds(second.at);
    this.#points.set(at, {
      at,
      requests: second.total,
      denied: second.denied,
      shadow: second.shadow_denied,
    });
    for (const old of this.#points.keys()) if (old <= at - LIVE_SECONDS) this.#points.delete(old);
  }

  points(): readonly Point[] {
    return withGaps(this.#points, LIVE_SECONDS, 1);
  }
}

/** Returns the points of `length` hours up to the latest one that was counted. */
export function hourPoints(hours: readonly Hour[], length: number): readonly Point[] {
  const points = new Map<number, Point>();
  for (const { hour, total_requests, throttled_requests, shadow_throttled } of hours) {
    const at = toEpochSeconds(hour);
    points.set(at, { at, requests: total_requests, denied: throttled_requests, shadow: shadow_throttled });
  }
  return withGaps(points, length, HOUR_SECONDS);
}

const addNullable = (a: number | null, b: number | null): number | null =>
  a === null && b === null ? null : (a ?? 0) + (b ?? 0);

/** Returns the sum of points, at the time of the first. */
export const addUp = (points: readonly Point[]): Point =>
  points.reduce((sum, point) => ({
    at: sum.at,
    requests: addNullable(sum.requests, point.requests),
    denied: addNullable(sum.denied, point.denied),
    shadow: addNullable(sum.shadow, point.shadow),
  }));

/** Adds up every `step` points, so that a table is short enough to read. */
export const addUpInSteps = (points: readonly Point[], step: number): readonly Point[] =>
  Array.from({ length: Math.ceil(points.length / step) }, (_, at) =>
    addUp(points.slice(at * step, (at + 1) * step)),
  );
