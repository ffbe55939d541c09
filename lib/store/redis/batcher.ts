import type { StoreReply } from '../store.js';
import type { Charges, Decisions, RedisReplyError } from './protocol.js';

/** Sends requests in one call and returns the decisions, or the error, of each. */
export type SendBatch = (requests: readonly Charges[]) => Promise<readonly (Decisions | RedisReplyError)[]>;

/** Observes calls, without a promise for each request. */
export interface ReplyListener<Token> {
  /** Called before a call is sent. */
  onSend(): Token;
  /** Called for each request that was added with `notify`. */
  onReply(charges: Charges, decisions: Decisions, token: Token): void;
  /** Called after each call, whether it succeeded or failed. */
  onSettled(): void;
}

interface PendingRequest {
  readonly charges: Charges;
  readonly notify: boolean;
  readonly resolve: (reply: StoreReply) => void;
  readonly reject: (error: unknown) => void;
}

// Limits of one call, so that the server works on one while this process reads the reply to another.
const MAX_REQUESTS = 64;
const MAX_CHARGES = 512;

/** Splits pending requests into batches of one call each. */
function* batchesOf(pending: readonly PendingRequest[]): Iterable<readonly PendingRequest[]> {
  let from = 0;
  let charges = 0;
  for (let at = 0; at < pending.length; at++) {
    const own = (pending[at] as PendingRequest).charges.length;
    const isFull = at - from === MAX_REQUESTS || (charges + own > MAX_CHARGES && at > from);
    if (isFull) {
      yield pending.slice(from, at);
      from = at;
      charges = 0;
    }
    charges += own;
  }
  yield from === 0 ? pending : pending.slice(from);
}

/**
 * Sends the requests of one turn of the event loop as one script call. They leave at the end of the turn, when all
 * readable sockets have been read, so no request waits for a timer.
 */
export class Batcher<Token> {
  #batches = new Map<string, PendingRequest[]>();

  constructor(
    readonly send: SendBatch,
    readonly listener: ReplyListener<Token>,
  ) {}

  /**
   * Adds a request to this turn's batch.
   *
   * @param batchKey Requests with the same key may share a call.
   * @param notify True if the listener receives the reply.
   */
  add(batchKey: string, charges: Charges, notify: boolean): Promise<StoreReply> {
    if (this.#batches.size === 0) setImmediate(() => this.#flush());
    return new Promise((resolve, reject) => {
      const request = { charges, notify, resolve, reject };
      const batch = this.#batches.get(batchKey);
      if (batch === undefined) this.#batches.set(batchKey, [request]);
      else batch.push(request);
    });
  }

  #flush(): void {
    const batches = this.#batches;
    this.#batches = new Map();
    for (const pending of batches.values()) {
      for (const batch of batchesOf(pending)) void this.#sendBatch(batch);
    }
  }

  async #sendBatch(batch: readonly PendingRequest[]): Promise<void> {
    const token = this.listener.onSend();
    try {
      const replies = await this.send(batch.map(({ charges }) => charges));
      for (let i = 0; i < batch.length; i++) {
        const { charges, notify, resolve, reject } = batch[i] as PendingRequest;
        const reply = replies[i] as Decisions | RedisReplyError;
        if (reply instanceof Error) reject(reply);
        else {
          if (notify) this.listener.onReply(charges, reply, token);
          resolve({ decisions: reply, degraded: false });
        }
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.listener.onSettled();
    }
  }
}
