import { randomBytes } from 'node:crypto';
import { type Clock, runAfter } from '../../core/clock.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import {
  type CountBatch,
  emptyHour,
  type HourCounts,
  type SharedCounters,
  type SharedCounts,
} from '../../store/shared-counters.js';
import { mergeHour, requestsOf } from './hour-counts.js';
import { PastHours } from './past-hours.js';

const HOUR_MS = 3_600_000;
const SOURCE = 'statistics';
/** How long a reader, and who closes, wait for the store. */
const STORE_TIMEOUT_MS = 1_000;

const requestsIn = (batches: readonly CountBatch[]): number => {
  let requests = 0;
  for (const { counts } of batches) {
    const { allowed, denied } = requestsOf(counts);
    requests += allowed + denied;
  }
  return requests;
};

/**
 * Takes what this process counts to the counts that all share, and keeps it while the store is away. A batch that was
 * sent stays as it is until the store has taken it, and carries a number: the answer may be all that was lost.
 */
export class SharedWriter {
  readonly #writer = randomBytes(9).toString('base64url');
  /** In the order they began: of each hour at most one that was sent, and one that was not. */
  #waiting: CountBatch[] = [];
  readonly #sent = new Set<CountBatch>();
  #writing: Promise<void> | null = null;
  #sequence = 0;
  #writes = 0;
  /** Hours that were not taken when they were written last. Of a Cluster, each may be on another node. */
  readonly #failed = new Set<number>();
  /** Whether an outage has been reported. */
  #isFailing = false;
  /** Answers that somebody has given up waiting for. */
  #late = 0;
  readonly #past: PastHours;

  constructor(
    readonly shared: SharedCounters,
    readonly clock: Clock,
    readonly keepMs: number,
    readonly report: ErrorReporter,
  ) {
    this.#past = new PastHours(clock, keepMs / HOUR_MS);
  }

  get isDone(): boolean {
    return this.#waiting.length === 0;
  }

  /** Takes what was counted along with the next write. */
  add(counts: HourCounts): void {
    const open = this.#waiting.find((batch) => !this.#sent.has(batch) && batch.counts.hour === counts.hour);
    if (open !== undefined) mergeHour(open.counts, counts);
    else this.#waiting.push({ writer: this.#writer, sequence: ++this.#sequence, counts });
  }

  /** Writes one batch, unless a write is under way, which may last while the store is silent. */
  write(): Promise<void> {
    const batch = this.#next();
    if (this.#writing !== null || batch === undefined) return this.#writing ?? Promise.resolve();
    this.#sent.add(batch);
    this.#writing = this.#write(batch).finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  /** What all have counted in an hour, and this process has not written yet. */
  async read(hour: number): Promise<HourCounts> {
    const unwritten = this.#waiting.filter(({ counts }) => counts.hour === hour);
    const { counts, applied } = this.#past.get(hour) ?? (await this.#ask(hour, unwritten.length === 0));
    const all = emptyHour(hour);
    mergeHour(all, counts);
    for (const batch of unwritten) {
      // The store may have taken it while the answer to the write is under way.
      if (batch.sequence > applied) mergeHour(all, batch.counts);
    }
    return all;
  }

  /** Gives up what nobody keeps any more. */
  forget(before: number): void {
    const old = this.#drop(({ counts }) => counts.hour < before);
    for (const { counts } of old) this.#failed.delete(counts.hour);
    this.#reportLost(requestsIn(old), 'was away for as long as statistics are kept');
  }

  /** Writes what is left, within a second. */
  async close(): Promise<void> {
    await this.#withTimeout(this.#writeAll()).catch(() => undefined);
    this.#reportLost(requestsIn(this.#drop(() => true)), 'did not take them before the end');
  }

  /** @param isAllWritten Whether nothing of this hour can change by this process any more. */
  async #ask(hour: number, isAllWritten: boolean): Promise<SharedCounts> {
    // A client may keep what is asked of a silent server: no more of it than once.
    if (this.#late > 0) throw new Error('The store has not answered as yet.');
    const answer = this.shared.read(hour, this.#writer).then((shared) => {
      if (isAllWritten) this.#past.keep(hour, shared);
      return shared;
    });
    return this.#withTimeout(answer);
  }

  /** Hours take turns, so that one that is not taken holds up no other; batches of an hour go in their order. */
  #next(): CountBatch | undefined {
    const hours = [...new Set(this.#waiting.map(({ counts }) => counts.hour))];
    const hour = hours[this.#writes++ % hours.length];
    return this.#waiting.find(({ counts }) => counts.hour === hour);
  }

  async #write(batch: CountBatch): Promise<void> {
    const { hour } = batch.counts;
    try {
      await this.shared.add(batch, this.keepMs);
    } catch (error) {
      this.#failed.add(hour);
      if (this.#isFailing) return;
      this.#isFailing = true;
      this.report(SOURCE, 'The store takes no counts; they are kept and written later.', error);
      return;
    }
    this.#failed.delete(hour);
    if (this.#failed.size === 0) this.#isFailing = false;
    this.#past.forget(hour);
    this.#drop((one) => one === batch);
  }

  /** Writes until all is taken, or no hour that is left was taken when it was tried again. */
  async #writeAll(): Promise<void> {
    await this.#writing;
    this.#failed.clear();
    while (this.#waiting.some(({ counts }) => !this.#failed.has(counts.hour))) await this.write();
  }

  #drop(isDropped: (batch: CountBatch) => boolean): readonly CountBatch[] {
    const dropped = this.#waiting.filter(isDropped);
    for (const batch of dropped) this.#sent.delete(batch);
    this.#waiting = this.#waiting.filter((batch) => !dropped.includes(batch));
    return dropped;
  }

  #reportLost(requests: number, why: string): void {
    if (requests === 0) return;
    this.report(SOURCE, `The counts of ${requests} requests are lost, since the store ${why}.`);
  }

  #withTimeout<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const stop = runAfter(this.clock, STORE_TIMEOUT_MS, () => {
        isLate = true;
        this.#late++;
        reject(new Error(`The store has not answered within ${STORE_TIMEOUT_MS} ms.`));
      });
      const settled = () => {
        if (isLate) this.#late--;
        else stop();
      };
      answer.then(resolve, reject).finally(settled);
    });
  }
}
