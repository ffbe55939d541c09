import { type Clock, systemClock } from '../../core/clock.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { configError, describeValue } from '../../core/errors.js';
import { emptyHour, type HourCounts, type SharedCounters } from '../../store/shared-counters.js';
import type { Counter } from './counter-table.js';
import { mergeHour } from './hour-counts.js';
import { type RecordedOutcome, Recorder } from './recorder.js';
import { SharedWriter } from './shared-writer.js';
import { type Counts, createSnapshot, type StatsSnapshot, toCounts } from './snapshot.js';

const HOUR_MS = 3_600_000;
const WRITE_EVERY_MS = 1_000;
export const DEFAULT_KEEP_HOURS = 24 * 7;
export const MAX_HOURS = 24 * 31;
const MAX_TOP = 100;
const READ_AT_A_TIME = 12;

/** Settings of {@link RateLimitStats}. */
export interface RateLimitStatsOptions {
  /** For how many hours counts are kept, the one under way included; 1 to 744 (31 days), default 168 (7 days). */
  readonly keepHours?: number | undefined;
  /** Counts that processes share; default none, so that this process counts for itself. */
  readonly shared?: SharedCounters | undefined;
  /** Default: the time of this process. */
  readonly clock?: Clock | undefined;
  /** Hears, once for each outage, that the store takes no counts, and of counts that were lost. Default: nobody. */
  readonly report?: ErrorReporter | undefined;
}

/** What a snapshot is to hold. */
export interface SnapshotOptions {
  /** How many hours, the one under way included; 1 to `keepHours`, default 24, or all if fewer are kept. */
  readonly hours?: number | undefined;
  /** The most entries of each list of clients, users and denied routes; 1 to 100, default 10. */
  readonly top?: number | undefined;
}

/** A route that is counted; made by {@link RateLimitStats.routeCounter} alone. */
export interface RouteCounter {
  readonly name: string;
}

/** What is known of an hour. */
interface ReadHour {
  readonly counts: HourCounts;
  /** Whether all processes are in it. */
  readonly isShared: boolean;
}

/** A whole number in its bounds, or an error. */
function checked(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw configError(
    'bad-option',
    `${name} of the statistics cannot be ${describeValue(value)}.`,
    `Give a whole number from 1 to ${max}.`,
  );
}

/**
 * Counts what becomes of requests, by hours of UTC. Counts are exact. The number of unique clients is an estimate with
 * a standard error of 1.6 %. Lists of clients and users are approximate: a process misses nobody who makes up more than
 * 0.05 % of its denials, or of its requests with a user, of an hour, and shares the first 200 of them with each write;
 * counts in them never exceed the truth. Memory is bounded, whatever clients send.
 *
 * With `shared` counts it writes once a second at most, in the background, and only what there is; while the store
 * fails, counts are kept and written later.
 *
 * @throws RateLimitConfigError `bad-option` for a `keepHours` out of its bounds.
 * @example
 * const { currentHour, topDeniedClients } = await stats.snapshot({ hours: 24, top: 10 });
 */
export class RateLimitStats {
  readonly #keepHours: number;
  readonly #clock: Clock;
  readonly #recorder: Recorder;
  readonly #writer: SharedWriter | null;
  /** What this process has counted, by hour. */
  readonly #hours = new Map<number, HourCounts>();
  /** Stops the timer of writes; null while there is none. */
  #stop: (() => void) | null = null;
  #isClosed = false;

  constructor({
    keepHours = DEFAULT_KEEP_HOURS,
    shared,
    clock = systemClock,
    report = () => undefined,
  }: RateLimitStatsOptions = {}) {
    this.#keepHours = checked('keepHours', keepHours, MAX_HOURS);
    this.#clock = clock;
    this.#recorder = new Recorder(this.#hour());
    this.#writer = shared === undefined ? null : new SharedWriter(shared, clock, keepHours * HOUR_MS, report);
  }

  /** @internal The counter of a route, to be kept: {@link record} takes it in place of a look-up at each request. */
  routeCounter(name: string): RouteCounter {
    return this.#recorder.route(name);
  }

  /**
   * @internal Counts a request, once.
   *
   * @param client The address in canonical form, `203.0.113.7`; null where there is none.
   * @param user The identity that a limit charged, `user:42`; null where none charged a user. Longer than 256
   *   characters, it is left out of the list of users.
   */
  record(route: RouteCounter, outcome: RecordedOutcome, client: string | null, user: string | null): void {
    const hour = this.#hour();
    if (hour !== this.#recorder.hour) this.#startHour(hour);
    this.#recorder.count(route as Counter, outcome, client, user);
    if (this.#stop === null && this.#writer !== null && !this.#isClosed) this.#startWriting(this.#writer);
  }

  /** What became of the requests of this process since it started. */
  get totals(): Counts {
    return toCounts(this.#recorder.totals);
  }

  /**
   * The statistics of the last hours: of all processes where the counts are shared, else of this one. While
   * the store does not answer it holds what this process knows, within a second.
   *
   * @throws RateLimitConfigError `bad-option` for `hours` or `top` out of their bounds.
   */
  async snapshot(options: SnapshotOptions = {}): Promise<StatsSnapshot> {
    const { hours = Math.min(24, this.#keepHours), top = 10 } = options;
    checked('hours', hours, this.#keepHours);
    checked('top', top, MAX_TOP);
    this.#drain();
    const last = this.#hour();
    const known: ReadHour[] = [];
    // A few at a time: decisions go over the same connection.
    for (let at = 0; at < hours; at += READ_AT_A_TIME) {
      const some = Array.from(
        { length: Math.min(READ_AT_A_TIME, hours - at) },
        (_, i) => last - hours + 1 + at + i,
      );
      known.push(...(await Promise.all(some.map((hour) => this.#read(hour)))));
    }
    const isComplete = known.every(({ isShared }) => isShared);
    const counts = known.map((one) => one.counts);
    return createSnapshot(counts, emptyHour(last), top, isComplete);
  }

  /** Writes what is left, for a second at most, and stops. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopWriting();
    this.#drain();
    await this.#writer?.close();
  }

  async #read(hour: number): Promise<ReadHour> {
    const own = this.#hours.get(hour) ?? emptyHour(hour);
    if (this.#writer === null) return { counts: own, isShared: true };
    try {
      return { counts: await this.#writer.read(hour), isShared: true };
    } catch {
      return { counts: own, isShared: false };
    }
  }

  #startWriting(writer: SharedWriter): void {
    this.#stop = this.#clock.every(WRITE_EVERY_MS, () => {
      this.#drain();
      if (writer.isDone) this.#stopWriting();
      else void writer.write();
    });
  }

  #stopWriting(): void {
    this.#stop?.();
    this.#stop = null;
  }

  /** Puts what has been counted to this process's own, and along with the next write. */
  #drain(): void {
    const drained = this.#recorder.drain();
    if (drained === null) return;
    let own = this.#hours.get(drained.hour);
    if (own === undefined) {
      own = emptyHour(drained.hour);
      this.#hours.set(drained.hour, own);
    }
    mergeHour(own, drained);
    this.#writer?.add(drained);
  }

  #startHour(hour: number): void {
    this.#drain();
    this.#recorder.begin(hour);
    const oldest = hour - this.#keepHours + 1;
    for (const kept of this.#hours.keys()) {
      if (kept < oldest) this.#hours.delete(kept);
    }
    this.#writer?.forget(oldest);
  }

  #hour(): number {
    return Math.floor(this.#clock.now() / HOUR_MS);
  }
}
