import { randomBytes } from 'node:crypto';
import { type LRU, lru } from 'tiny-lru';
import type { Clock } from '../../core/clock.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { StoreTimeoutError, withTimeout } from '../../resilience/timeout-queue.js';
import {
  emptyHour,
  type HourCounts,
  type SharedCounters,
  type SharedCounts,
} from '../../store/shared-counters.js';
import type { Drained } from './recorder.js';
import { type CountedHour, HOUR_MS, mergeHour, sumRequests, totalOf } from './snapshot.js';

const SOURCE = 'statistics';
/** Time that a reader, and the end of the process, wait for the store. */
const STORE_TIMEOUT_MS = 1_000;

/** After the end of an hour, every process that reaches the store writes the last of it within this time. */
const SETTLED_MS = 10_000;
/** Time that an hour that has settled is not read again: what a process could not write before is seen after that. */
const FRESH_MS = 60_000;
/** An hour that ended so long ago changes no more, except by a process that could not write all the time. */
const OLD_MS = 2 * HOUR_MS;
const FRESH_WHEN_OLD_MS = 600_000;

/** A union of more hours takes the server so long (0.07 ms an hour) that it is read once a minute at most. */
const MAX_UNION_HOURS = 24;
const MAX_UNIONS = 10;

/** A value that was read from the store, and the time from which it is read again. */
interface Cached<T> {
  readonly value: T;
  readonly untilMs: number;
}

/** Counts of an hour that are to be written. */
interface Batch {
  /** Grows from batch to batch. */
  readonly sequence: number;
  readonly counts: HourCounts;
  /** See {@link Drained.clients}. */
  readonly clients: Map<number, string>;
  /** Set once it has been sent: it must not change any more. */
  isSent: boolean;
}

/**
 * Adds the counts of this process to those that all processes share, and keeps them while the store fails. A batch that
 * was sent stays as it is until the store has confirmed it, and has a number: perhaps only the reply was lost.
 */
export class SharedWriter {
  readonly #writer = randomBytes(9).toString('base64url');
  /** From the oldest: of each hour at most one batch that was sent, and one that was not. */
  #batches: readonly Batch[] = [];
  #writing: Promise<void> | null = null;
  #sequence = 0;
  #writes = 0;
  /** Hours whose last write failed: an outage, which is reported once. A store may keep each hour in another place. */
  readonly #failed = new Set<number>();
  /** Replies that came too late for their reader, and are still to come. */
  #late = 0;
  /** Hours that are over, so that a reader who refreshes reads only the current one. */
  readonly #past: LRU<Cached<SharedCounts>>;
  readonly #unions: LRU<Cached<number>> = lru(MAX_UNIONS);

  constructor(
    readonly shared: SharedCounters,
    readonly clock: Clock,
    readonly keepMs: number,
    readonly report: ErrorReporter,
  ) {
    this.#past = lru(keepMs / HOUR_MS);
  }

  get isDone(): boolean {
    return this.#batches.length === 0;
  }

  /** Adds counts to the next write. */
  add({ counts, clients }: Drained): void {
    const open = this.#batches.find((batch) => !batch.isSent && batch.counts.hour === counts.hour);
    if (open === undefined) {
      const batch = { sequence: ++this.#sequence, counts, clients: new Map(clients), isSent: false };
      this.#batches = [...this.#batches, batch];
      return;
    }
    mergeHour(open.counts, counts);
    for (const [register, client] of clients) open.clients.set(register, client);
  }

  /** Writes one batch, unless a write is under way, which may last while the store is silent. */
  write(): Promise<void> {
    const batch = this.#next();
    if (this.#writing !== null || batch === undefined) return this.#writing ?? Promise.resolve();
    this.#writing = this.#write(batch).finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  /** Reads the counts of an hour by all processes, and adds those that this process has not written yet. */
  async read(hour: number): Promise<CountedHour> {
    const unwritten = this.#batches.filter(({ counts }) => counts.hour === hour);
    const shared =
      fresh(this.#past.get(hour), this.clock) ?? (await this.#read(hour, unwritten.length === 0));
    const counts = emptyHour(hour);
    mergeHour(counts, shared.counts);
    for (const batch of unwritten) {
      // The store may have applied it while the reply to the write is under way.
      if (batch.sequence > shared.applied) mergeHour(counts, batch.counts);
    }
    return { counts, uniqueClients: shared.uniqueClients };
  }

  /** Estimates the clients of consecutive hours. Those of the last second may be missing, of many hours those of a minute. */
  async uniqueClients(hours: readonly number[]): Promise<number> {
    const key = `${hours[0]} ${hours.length}`;
    const cached = fresh(this.#unions.get(key), this.clock);
    if (cached !== undefined) return cached;
    const value = await this.#ask(() => this.shared.uniqueClients(hours));
    if (hours.length > MAX_UNION_HOURS) {
      this.#unions.set(key, { value, untilMs: this.clock.now() + FRESH_MS });
    }
    return value;
  }

  /** Gives up batches of hours that are no longer kept. */
  forget(beforeHour: number): void {
    const old = this.#remove(({ counts }) => counts.hour < beforeHour);
    for (const { counts } of old) this.#failed.delete(counts.hour);
    this.#reportLost(old, 'failed for as long as statistics are kept');
  }

  /** Writes the rest, within a second. */
  async close(): Promise<void> {
    await this.#withTimeout(this.#writeAll()).catch(() => undefined);
    this.#reportLost(
      this.#remove(() => true),
      'did not take them before the process ended',
    );
  }

  /** @param isWritten Whether this process has written all of the hour, so that the reply may be kept. */
  async #read(hour: number, isWritten: boolean): Promise<SharedCounts> {
    return this.#ask(async () => {
      const shared = await this.shared.read(hour, this.#writer);
      if (isWritten) this.#keep(hour, shared);
      return shared;
    });
  }

  #keep(hour: number, shared: SharedCounts): void {
    const nowMs = this.clock.now();
    const endMs = (hour + 1) * HOUR_MS;
    if (nowMs < endMs + SETTLED_MS) return;
    const freshMs = nowMs < endMs + OLD_MS ? FRESH_MS : FRESH_WHEN_OLD_MS;
    this.#past.set(hour, { value: shared, untilMs: nowMs + freshMs });
  }

  /** Takes turns between hours, so that one that fails does not hold up the others. Batches of an hour stay in order. */
  #next(): Batch | undefined {
    const hours = [...new Set(this.#batches.map(({ counts }) => counts.hour))];
    const hour = hours[this.#writes++ % hours.length];
    return this.#batches.find(({ counts }) => counts.hour === hour);
  }

  async #write(batch: Batch): Promise<void> {
    batch.isSent = true;
    const { sequence, counts } = batch;
    const { hour } = counts;
    const clients = [...batch.clients.values()];
    try {
      await this.shared.add({ writer: this.#writer, sequence, counts, clients }, this.keepMs);
    } catch (error) {
      if (this.#failed.size === 0)
        this.report(SOURCE, 'The store takes no counts. They are kept and written later.', error);
      this.#failed.add(hour);
      return;
    }
    this.#failed.delete(hour);
    this.#past.delete(hour);
    this.#remove((one) => one === batch);
  }

  /** Tries every batch once more. */
  async #writeAll(): Promise<void> {
    await this.#writing;
    for (const batch of this.#batches) await this.#write(batch);
  }

  #remove(isRemoved: (batch: Batch) => boolean): readonly Batch[] {
    const removed = this.#batches.filter(isRemoved);
    this.#batches = this.#batches.filter((batch) => !removed.includes(batch));
    return removed;
  }

  #reportLost(batches: readonly Batch[], reason: string): void {
    const requests = batches.reduce((sum, { counts }) => sum + totalOf(sumRequests(counts)), 0);
    if (requests === 0) return;
    this.report(SOURCE, `The counts of ${requests} requests are lost, since the store ${reason}.`);
  }

  /** Asks the store. A client may queue the requests to a silent server, so none is added before it has replied. */
  async #ask<T>(request: () => Promise<T>): Promise<T> {
    if (this.#late > 0) throw new Error('The store has not replied yet.');
    return this.#withTimeout(request());
  }

  async #withTimeout<T>(reply: Promise<T>): Promise<T> {
    try {
      return await withTimeout(STORE_TIMEOUT_MS, this.clock, () => reply);
    } catch (error) {
      if (error instanceof StoreTimeoutError) {
        this.#late++;
        const onSettled = (): number => this.#late--;
        reply.then(onSettled, onSettled);
      }
      throw error;
    }
  }
}

const fresh = <T>(cached: Cached<T> | undefined, clock: Clock): T | undefined =>
  cached !== undefined && clock.now() < cached.untilMs ? cached.value : undefined;
