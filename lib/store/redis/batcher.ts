import type { StoreReply } from '../store.js';
import type { Charges, Decided, RedisReplyError } from './messages.js';

/** Sends several requests in one call and gives back what became of each, in their order. */
export type Send = (requests: readonly Charges[]) => Promise<readonly (Decided | RedisReplyError)[]>;

/** Hears what becomes of requests, in place of a promise of its own for each. */
export interface Hearing<Asked> {
  /** Before a call is sent. */
  asking(): Asked;
  heard(charges: Charges, decisions: Decided, asked: Asked): void;
  /** Once a call has been answered, or has failed. */
  answered(): void;
}

interface Waiting {
  readonly charges: Charges;
  /** Whether it is to be heard of. */
  readonly isHeard: boolean;
  readonly resolve: (reply: StoreReply) => void;
  readonly reject: (error: unknown) => void;
}

/** How much goes into one call: a server decides on one while we read the answer to another. */
const MOST_REQUESTS = 64;
const MOST_CHARGES = 512;

/** Cuts what waits into batches that one call may carry. */
function* batchesOf(waiting: readonly Waiting[]): Iterable<readonly Waiting[]> {
  let from = 0;
  let charges = 0;
  for (let at = 0; at < waiting.length; at++) {
    const own = (waiting[at] as Waiting).charges.length;
    const isFull = at - from === MOST_REQUESTS || (charges + own > MOST_CHARGES && at > from);
    if (isFull) {
      yield waiting.slice(from, at);
      from = at;
      charges = 0;
    }
    charges += own;
  }
  yield from === 0 ? waiting : waiting.slice(from);
}

/**
 * Lets requests of one turn of the event loop travel together. They are sent at the end of the turn,
 * when all sockets that had something to say have been read; no request waits for a timer.
 */
export class Batcher<Asked> {
  #lanes = new Map<string, Waiting[]>();

  constructor(
    readonly send: Send,
    readonly hearing: Hearing<Asked>,
  ) {}

  /**
   * Decides a request along with the others of this turn.
   *
   * @param lane What may travel together: requests of the same lane.
   * @param isHeard Whether what becomes of it is to be heard of.
   */
  add(lane: string, charges: Charges, isHeard: boolean): Promise<StoreReply> {
    if (this.#lanes.size === 0) setImmediate(() => this.#flush());
    return new Promise((resolve, reject) => {
      const request = { charges, isHeard, resolve, reject };
      const waiting = this.#lanes.get(lane);
      if (waiting === undefined) this.#lanes.set(lane, [request]);
      else waiting.push(request);
    });
  }

  #flush(): void {
    const lanes = this.#lanes;
    this.#lanes = new Map();
    for (const waiting of lanes.values()) {
      for (const batch of batchesOf(waiting)) void this.#sendBatch(batch);
    }
  }

  async #sendBatch(batch: readonly Waiting[]): Promise<void> {
    const asked = this.hearing.asking();
    try {
      const answers = await this.send(batch.map(({ charges }) => charges));
      for (let at = 0; at < batch.length; at++) {
        const { charges, isHeard, resolve, reject } = batch[at] as Waiting;
        const answer = answers[at] as Decided | RedisReplyError;
        if (answer instanceof Error) reject(answer);
        else {
          if (isHeard) this.hearing.heard(charges, answer, asked);
          resolve({ decisions: answer, degraded: false });
        }
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.hearing.answered();
    }
  }
}
