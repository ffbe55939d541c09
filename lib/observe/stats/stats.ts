import { type Clock, systemClock } from '../../core/clock.js';
import type { Decision } from '../../core/decision.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { type OptionRules, validateOptions, wholeNumber } from '../../core/validate.js';
import { emptyHour, emptyTally, type HourCounts, type SharedCounters } from '../../store/shared-counters.js';
import { StoreUnavailableError } from '../../store/store.js';
import type { Published } from '../publisher.js';
import { HyperLogLog } from './hyperloglog.js';
import { type RecordedOutcome, Recorder } from './recorder.js';
import { SharedWriter } from './shared-writer.js';
import {
  addTally,
  type Counts,
  createSnapshot,
  HOUR_MS,
  mergeHour,
  type ReadHour,
  type StatsSnapshot,
  sumRequests,
  toCounts,
} from './snapshot.js';

const WRITE_INTERVAL_MS = 1_000;
export const DEFAULT_KEEP_HOURS = 24 * 7;
export const MAX_HOURS = 24 * 31;
const MAX_TOP = 100;
const CONCURRENT_READS = 12;

/** Options of {@link RateLimitStats}. */
export interface RateLimitStatsOptions {
  /** Hours that counts are kept, including the current one; 1 to 744 (31 days), default 168 (7 days). */
  readonly keepHours?: number | undefined;
  /** Counts that processes share. Default: none, so this process counts for itself. */
  readonly shared?: SharedCounters | undefined;
  /** Default: the time of this process. */
  readonly clock?: Clock | undefined;
  /** Called once for each outage in which the store takes no counts, and when counts are lost. Default: nothing is reported. */
  readonly report?: ErrorReporter | undefined;
}

/** Options of a snapshot. */
export interface SnapshotOptions {
  /** Number of hours, including the current one; 1 to `keepHours`, default 24, or all if fewer are kept. */
  readonly hours?: number | undefined;
  /** Most entries of each list of clients, users and denied routes; 1 to 100, default 10. */
  readonly top?: number | undefined;
}

/** Returns the user that a limit charged by `user` only, not together with something else; null for none. */
function chargedUser(decisions: readonly Decision[]): string | null {
  const decision = decisions.find(
    ({ charge: { identity } }) => identity.startsWith('user:') && !identity.includes('+'),
  );
  return decision?.charge.identity ?? null;
}

/** An hour as it was counted by this process. */
interface OwnHour {
  readonly counts: HourCounts;
  readonly clients: HyperLogLog;
}

export const KEEP_HOURS_RULE = wholeNumber(1, MAX_HOURS);

const RULES: OptionRules<keyof RateLimitStatsOptions> = {
  keepHours: KEEP_HOURS_RULE,
  shared: null,
  clock: null,
  report: null,
};

const snapshotRules = (keepHours: number): OptionRules<keyof SnapshotOptions> => ({
  hours: wholeNumber(1, keepHours),
  top: wholeNumber(1, MAX_TOP),
});

/**
 * Counts requests by result, in hours of UTC. Counts are exact. The number of unique clients is an estimate with a
 * standard error of 0.81 %. Lists of clients and users are approximate: a process misses nobody who makes up more than
 * 0.05 % of its denials, or of its requests with a user, of an hour, and shares the first 200 of them with each write;
 * counts in them never exceed the truth. Memory is bounded, whatever clients send.
 *
 * With `shared` counts it writes in the background, at most once a second and only what is new. While the store fails,
 * counts are kept and written later.
 *
 * @throws RateLimitConfigError `bad-option` for a `keepHours` out of bounds.
 * @example
 * const { currentHour, topDeniedClients } = await stats.snapshot({ hours: 24, top: 10 });
 */
export class RateLimitStats {
  /** @internal Called for each snapshot: the module warns here if statistics are off. */
  onSnapshot: (() => void) | undefined;
  readonly #keepHours: number;
  readonly #clock: Clock;
  readonly #writer: SharedWriter | null;
  #recorder: Recorder | null = null;
  /** All requests since the start, up to the last drain. */
  readonly #totals = emptyTally();
  /** The hours that this process has counted. */
  readonly #ownHours = new Map<number, OwnHour>();
  /** Stops the timer of writes, which runs from the first request on; null before it. */
  #stopTimer: (() => void) | null = null;

  constructor(options: RateLimitStatsOptions = {}) {
    validateOptions(options, RULES, 'RateLimitStats');
    const { keepHours = DEFAULT_KEEP_HOURS, shared, clock = systemClock, report = () => undefined } = options;
    this.#keepHours = keepHours;
    this.#clock = clock;
    this.#writer = shared === undefined ? null : new SharedWriter(shared, clock, keepHours * HOUR_MS, report);
  }

  /** @internal */
  readonly onPublished = (event: Published): void => {
    if (event.kind !== 'request') return;
    const { plan, caller, outcome, error } = event;
    if (outcome === null) {
      // Counted without a client, since no client was found to ask for too much.
      const degraded = error instanceof StoreUnavailableError;
      this.record(plan.route, { allowed: false, degraded, decisions: [] }, null, null);
    } else this.record(plan.route, outcome, caller.address, chargedUser(outcome.decisions));
  };

  /**
   * @internal Counts a request, once.
   *
   * @param client The address in canonical form, `203.0.113.7`; null for none.
   * @param user The identity that a limit charged, `user:42`; null if none charged a user. One of more than 256
   *   characters is left out of the list of users.
   */
  record(route: string, outcome: RecordedOutcome, client: string | null, user: string | null): void {
    const hour = this.#hour();
    const recorder = this.#recorder?.hour === hour ? this.#recorder : this.#startHour(hour);
    recorder.record(route, outcome, client, user);
    if (this.#writer === null) return;
    this.#stopTimer ??= this.#clock.every(WRITE_INTERVAL_MS, () => {
      this.#drain();
      void this.#writer?.write();
    });
  }

  /** The requests of this process since it started. */
  get totals(): Counts {
    this.#drain();
    return toCounts(this.#totals);
  }

  /**
   * Returns the statistics of the last hours: of all processes if the counts are shared, otherwise of this one. If the
   * store does not answer within a second, it returns the counts of this process.
   *
   * @throws RateLimitConfigError `bad-option` for `hours` or `top` out of bounds.
   */
  async snapshot(options: SnapshotOptions = {}): Promise<StatsSnapshot> {
    validateOptions(options, snapshotRules(this.#keepHours), 'RateLimitStats.snapshot');
    this.onSnapshot?.();
    const { hours: count = Math.min(24, this.#keepHours), top = 10 } = options;
    this.#drain();
    const last = this.#hour();
    const hours = Array.from({ length: count }, (_, at) => last - count + 1 + at);
    const read: ReadHour[] = [];
    // A few at a time: decisions use the same connection.
    for (let at = 0; at < count; at += CONCURRENT_READS) {
      const some = hours.slice(at, at + CONCURRENT_READS);
      read.push(...(await Promise.all(some.map((hour) => this.#read(hour)))));
    }
    return createSnapshot(read, top);
  }

  /** Writes the rest, for at most a second, and stops. */
  async close(): Promise<void> {
    this.#stopTimer?.();
    // So that a request that comes later starts no other one.
    this.#stopTimer = () => undefined;
    this.#drain();
    await this.#writer?.close();
  }

  async #read(hour: number): Promise<ReadHour> {
    const own = this.#ownHours.get(hour);
    // Null if the store failed, undefined if no counts are shared.
    const shared = await this.#writer?.read(hour).catch(() => null);
    return {
      counts: shared?.counts ?? own?.counts ?? emptyHour(hour),
      // Our clients of the last second may not have been written yet.
      uniqueClients: Math.max(shared?.uniqueClients ?? 0, own?.clients.estimate() ?? 0),
      isComplete: shared !== null,
    };
  }

  /** Moves the counts since the last drain to those of this process, and to the next write. */
  #drain(): void {
    const drained = this.#recorder?.drain();
    if (!drained) return;
    addTally(this.#totals, sumRequests(drained.counts));
    mergeHour(this.#ownHour(drained.counts.hour).counts, drained.counts);
    this.#writer?.add(drained);
  }

  #startHour(hour: number): Recorder {
    this.#drain();
    const oldest = hour - this.#keepHours + 1;
    for (const kept of this.#ownHours.keys()) {
      if (kept < oldest) this.#ownHours.delete(kept);
    }
    this.#writer?.forget(oldest);
    this.#recorder = new Recorder(hour, this.#ownHour(hour).clients, this.#writer !== null);
    return this.#recorder;
  }

  #ownHour(hour: number): OwnHour {
    const own = this.#ownHours.get(hour) ?? { counts: emptyHour(hour), clients: new HyperLogLog() };
    this.#ownHours.set(hour, own);
    return own;
  }

  #hour(): number {
    return Math.floor(this.#clock.now() / HOUR_MS);
  }
}
