import { randomBytes } from 'node:crypto';
import { type LRU, lru } from 'tiny-lru';
import type { Clock } from '../../core/clock.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { StoreTimeoutError, withTimeout } from '../../resilience/timeout-queue.js';
import {
  type CountBatch,
  emptyHour,
  type SharedCounters,
  type SharedCounts,
} from '../../store/shared-counters.js';
import type { Drained } from './recorder.js';
import { HOUR_MS, mergeHour, sumRequests, totalOf } from './snapshot.js';

const SOURCE = 'statistics';
/** Time that a reader, and the end of the process, wait for the store. */
const STORE_TIMEOUT_MS = 1_000;
/** Time that an hour that is over is not read again: what another process writes late is seen after that. */
const FRESH_MS = 60_000;

/** A write, which grows until it is sent. */
type Batch = CountBatch & Drained;

/** Counts of an hour by all processes, and the time from which they are read again. */
interface CachedHour {
  readonly shared: SharedCounts;
  readonly untilMs: number;
}

/**
 * Adds the counts of this process to those that all processes share, and keeps them while the store fails. A batch that
 * was sent stays as it is until the store has confirmed it, and has a number: perhaps only the reply was lost.
 */
export class SharedWriter {
  readonly #writer = randomBytes(9).toString('base64url');
  /** In the order of writing: of each hour at most one batch that was sent, and one that was not. */
  #batches: readonly Batch[] = [];
  /** Batches that must not change any more. */
  readonly #sent = new WeakSet<Batch>();
  #writing: Promise<void> | null = null;
  #sequence = 0;
  /** True from the first failure of a write until everything has been written: an outage, which is reported once. */
  #isFailing = false;
  /** Replies that came too late for their reader, and are still to come. */
  #late = 0;
  /** Hours that are over, so that a reader who refreshes reads only the current one. */
  readonly #past: LRU<CachedHour>;

  constructor(
    readonly shared: SharedCounters,
    readonly clock: Clock,
    readonly keepMs: number,
    readonly report: ErrorReporter,
  ) {
    this.#past = lru(keepMs / HOUR_MS);
  }

  /** Adds counts to the next write. */
  add({ counts, clients }: Drained): void {
    const open = this.#batchesOf(counts.hour).find((batch) => !this.#sent.has(batch));
    if (open === undefined) {
      const batch = { writer: this.#writer, sequence: ++this.#sequence, counts, clients };
      this.#batches = [...this.#batches, batch];
      return;
    }
    mergeHour(open.counts, counts);
    for (const client of clients) open.clients.push(client);
  }

  /** Writes one batch, after a write that is under way, which may last while the store is silent. */
  async write(): Promise<void> {
    await this.#writing;
    const [batch] = this.#batches;
    if (batch === undefined) return;
    this.#writing ??= this.#write(batch).finally(() => {
      this.#writing = null;
    });
    await this.#writing;
  }

  /** Reads the counts of an hour by all processes, and adds those that this process has not written yet. */
  async read(hour: number): Promise<Omit<SharedCounts, 'applied'>> {
    const unwritten = this.#batchesOf(hour);
    const nowMs = this.clock.now();
    let cached = this.#past.get(hour);
    if (cached === undefined || nowMs >= cached.untilMs) {
      cached = { shared: await this.#read(hour), untilMs: nowMs + FRESH_MS };
      // A reply without all counts of this process is not kept: it would lack them once they are written.
      if (unwritten.length === 0 && nowMs >= (hour + 1) * HOUR_MS) this.#past.set(hour, cached);
    }
    const { shared } = cached;
    const counts = emptyHour(hour);
    mergeHour(counts, shared.counts);
    for (const batch of unwritten) {
      // The store may have applied it while the reply to the write is under way.
      if (batch.sequence > shared.applied) mergeHour(counts, batch.counts);
    }
    return { counts, uniqueClients: shared.uniqueClients };
  }

  /** Gives up batches of hours that are no longer kept. */
  forget(beforeHour: number): void {
    const old = this.#batches.filter(({ counts }) => counts.hour < beforeHour);
    this.#giveUp(old, 'failed for as long as statistics are kept');
  }

  /** Writes the rest, within a second. */
  async close(): Promise<void> {
    await withTimeout(STORE_TIMEOUT_MS, this.clock, () => this.#writeAll()).catch(() => undefined);
    this.#giveUp(this.#batches, 'did not take them before the process ended');
  }

  /** A client may queue the requests to a silent server, so none is added before it has replied. */
  async #read(hour: number): Promise<SharedCounts> {
    if (this.#late > 0) throw new Error('The store has not replied yet.');
    const reply = this.shared.read(hour, this.#writer);
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

  async #write(batch: Batch): Promise<void> {
    this.#sent.add(batch);
    const { hour } = batch.counts;
    try {
      await this.shared.add(batch, this.keepMs);
    } catch (error) {
      if (!this.#isFailing)
        this.report(SOURCE, 'The store takes no counts. They are kept and written later.', error);
      this.#isFailing = true;
      // Other hours come first now: a store may keep each in another place, and one that fails holds up no other.
      const failed = this.#batchesOf(hour);
      this.#remove(failed);
      this.#batches = [...this.#batches, ...failed];
      return;
    }
    this.#past.delete(hour);
    this.#remove([batch]);
    if (this.#batches.length === 0) this.#isFailing = false;
  }

  /** Tries every batch once more. */
  async #writeAll(): Promise<void> {
    await this.#writing;
    for (const batch of this.#batches) await this.#write(batch);
  }

  #batchesOf(hour: number): readonly Batch[] {
    return this.#batches.filter(({ counts }) => counts.hour === hour);
  }

  #remove(batches: readonly Batch[]): void {
    this.#batches = this.#batches.filter((batch) => !batches.includes(batch));
  }

  #giveUp(batches: readonly Batch[], reason: string): void {
    this.#remove(batches);
    const requests = batches.reduce((sum, { counts }) => sum + totalOf(sumRequests(counts)), 0);
    if (requests === 0) return;
    this.report(SOURCE, `The counts of ${requests} requests are lost, since the store ${reason}.`);
  }
}
