import type { StoreReply } from '../store.js';
import type { Charges, DecidedRequest, RedisReplyError } from './protocol.js';

/** Sends requests in one call and returns the decisions, or the error, of each. */
export type SendBatch = (
  requests: readonly Charges[],
) => Promise<readonly (DecidedRequest | RedisReplyError)[]>;

/** Observes calls, without a promise for each request. */
export interface ReplyListener<Token> {
  /** Called before a call is sent. */
  onSend(): Token;
  /** Called for each request that was added with `notify`. */
  onReply(charges: Charges, decided: DecidedRequest, token: Token): void;
  /** Called after each call, whether it succeeded or failed. */
  onSettled(): void;
}

/** A reply of the store, with what only the denial cache reads. */
export interface BatchReply extends StoreReply, DecidedRequest {}

interface PendingRequest {
  readonly charges: Charges;
  readonly notify: boolean;
  readonly resolve: (reply: BatchReply) => void;
  readonly reject: (error: unknown) => void;
}

// A few calls of a few dozen requests: the server works on one while this process reads the reply to another.
const MAX_CALLS = 4;
const MAX_REQUESTS = 32;
const MAX_CHARGES = 512;
/** A server that has not replied for this long holds up no more requests: it may never reply to those that it has. */
const STALE_MS = 100;

/** The requests with one batch key. */
class BatchQueue {
  callsInFlight = 0;
  lastSentMs = 0;
  /** True if the waiting requests leave at the end of this turn of the event loop. */
  isScheduled = false;
  readonly waiting: PendingRequest[] = [];

  get canSend(): boolean {
    return this.callsInFlight < MAX_CALLS || performance.now() - this.lastSentMs >= STALE_MS;
  }

  /** Removes the requests of the next call. */
  take(): readonly PendingRequest[] {
    let count = 0;
    for (let charges = 0; count < this.waiting.length && count < MAX_REQUESTS; count++) {
      charges += (this.waiting[count] as PendingRequest).charges.length;
      if (charges > MAX_CHARGES && count > 0) break;
    }
    return this.waiting.splice(0, count);
  }
}

/**
 * Sends the requests that arrive while a call is in flight as one script call, so no request waits for a timer. With
 * nothing in flight, a request is sent immediately.
 */
export class Batcher<Token> {
  readonly #queues = new Map<string, BatchQueue>();

  constructor(
    readonly send: SendBatch,
    readonly listener: ReplyListener<Token>,
  ) {}

  /**
   * Adds a request to the next call.
   *
   * @param batchKey Requests with the same key may share a call.
   * @param notify True if the listener receives the reply.
   */
  add(batchKey: string, charges: Charges, notify: boolean): Promise<BatchReply> {
    const queue = this.#queues.get(batchKey) ?? new BatchQueue();
    this.#queues.set(batchKey, queue);
    return new Promise((resolve, reject) => {
      queue.waiting.push({ charges, notify, resolve, reject });
      if (queue.callsInFlight === 0) void this.#sendNext(queue, batchKey);
      else if (!queue.isScheduled && queue.canSend) {
        queue.isScheduled = true;
        setImmediate(() => this.#flush(queue, batchKey));
      }
    });
  }

  #flush(queue: BatchQueue, batchKey: string): void {
    queue.isScheduled = false;
    while (queue.waiting.length > 0 && queue.canSend) void this.#sendNext(queue, batchKey);
  }

  async #sendNext(queue: BatchQueue, batchKey: string): Promise<void> {
    queue.callsInFlight++;
    queue.lastSentMs = performance.now();
    await this.#sendBatch(queue.take());
    queue.callsInFlight--;
    this.#flush(queue, batchKey);
    if (queue.callsInFlight === 0) this.#queues.delete(batchKey);
  }

  async #sendBatch(batch: readonly PendingRequest[]): Promise<void> {
    const token = this.listener.onSend();
    try {
      const replies = await this.send(batch.map(({ charges }) => charges));
      for (let i = 0; i < batch.length; i++) {
        const { charges, notify, resolve, reject } = batch[i] as PendingRequest;
        const reply = replies[i] as DecidedRequest | RedisReplyError;
        if (reply instanceof Error) reject(reply);
        else {
          if (notify) this.listener.onReply(charges, reply, token);
          resolve({ ...reply, degraded: false });
        }
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.listener.onSettled();
    }
  }
}
