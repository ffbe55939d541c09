import type { StoreReply } from '../store.js';
import type { Charges, Decisions, RedisReplyError } from './protocol.js';

/** Sends several requests in one call and gives back what became of each, in their order. */
export type SendBatch = (requests: readonly Charges[]) => Promise<readonly (Decisions | RedisReplyError)[]>;

/** Hears what becomes of requests, in place of a promise of its own for each. */
export interface ReplyListener<Token> {
  /** Before a call is sent. */
  onSend(): Token;
  onReply(charges: Charges, decisions: Decisions, token: Token): void;
  /** Once a call has been answered, or has failed. */
  onSettled(): void;
}

interface Waiting {
  readonly charges: Charges;
  /** Whether it is to be heard of. */
  readonly notify: boolean;
  readonly resolve: (reply: StoreReply) => void;
  readonly reject: (error: unknown) => void;
}

/** How much goes into one call: a server decides on one while we read the answer to another. */
const MAX_REQUESTS = 64;
const MAX_CHARGES = 512;

/** Cuts what waits into batches that one call may carry. */
function* batchesOf(waiting: readonly Waiting[]): Iterable<readonly Waiting[]> {
  let from = 0;
  let charges = 0;
  for (let at = 0; at < waiting.length; at++) {
    const own = (waiting[at] as Waiting).charges.length;
    const isFull = at - from === MAX_REQUESTS || (charges + own > MAX_CHARGES && at > from);
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
export class Batcher<Token> {
  #batches = new Map<string, Waiting[]>();

  constructor(
    readonly send: SendBatch,
    readonly listener: ReplyListener<Token>,
  ) {}

  /**
   * Decides a request along with the others of this turn.
   *
   * @param batchKey What may travel together: requests with the same key.
   * @param notify Whether what becomes of it is to be heard of.
   */
  add(batchKey: string, charges: Charges, notify: boolean): Promise<StoreReply> {
    if (this.#batches.size === 0) setImmediate(() => this.#flush());
    return new Promise((resolve, reject) => {
      const request = { charges, notify, resolve, reject };
      const waiting = this.#batches.get(batchKey);
      if (waiting === undefined) this.#batches.set(batchKey, [request]);
      else waiting.push(request);
    });
  }

  #flush(): void {
    const batches = this.#batches;
    this.#batches = new Map();
    for (const waiting of batches.values()) {
      for (const batch of batchesOf(waiting)) void this.#sendBatch(batch);
    }
  }

  async #sendBatch(batch: readonly Waiting[]): Promise<void> {
    const token = this.listener.onSend();
    try {
      const answers = await this.send(batch.map(({ charges }) => charges));
      for (let at = 0; at < batch.length; at++) {
        const { charges, notify, resolve, reject } = batch[at] as Waiting;
        const answer = answers[at] as Decisions | RedisReplyError;
        if (answer instanceof Error) reject(answer);
        else {
          if (notify) this.listener.onReply(charges, answer, token);
          resolve({ decisions: answer, degraded: false });
        }
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.listener.onSettled();
    }
  }
}
