import type { ServerResponse } from 'node:http';
import { ServiceUnavailableException } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { RateLimiter } from '../limiter/rate-limiter.js';
import type { RateLimitStats } from '../observe/stats/stats.js';
import { liveMessage } from './responses.js';

const SECOND_MS = 1_000;
/** Readers then connect again, and the guards check them again. */
const MAX_STREAM_MS = 600_000;
const MAX_STREAMS = 100;

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  // A proxy that buffers responses would show nothing.
  'X-Accel-Buffering': 'no',
};

/** Fastify's response. */
interface Reply {
  readonly raw: ServerResponse;
  /** Takes the response over from Fastify. */
  hijack(): void;
}

/** A response behind a middleware that compresses it. */
interface Flushable {
  flush?(): void;
}

/** Sends the counts of this process to every reader, once a second. Without readers it has no timer. */
export class LiveStream {
  /** The end of each stream, in epoch milliseconds. */
  readonly #streams = new Map<ServerResponse & Flushable, number>();
  #isEnded = false;
  #stop: (() => void) | null = null;

  constructor(
    readonly stats: Pick<RateLimitStats, 'totals'>,
    readonly limiter: Pick<RateLimiter<never>, 'health'>,
    readonly clock: Clock,
  ) {}

  /**
   * Sends events over a response until its reader disconnects, ten minutes have passed, or {@link end} is
   * called.
   *
   * @throws ServiceUnavailableException if the application closes, or there are too many readers.
   */
  stream(response: ServerResponse | Reply): void {
    if (this.#isEnded || this.#streams.size >= MAX_STREAMS) {
      throw new ServiceUnavailableException('No more live streams can be opened now.');
    }
    const reply = 'raw' in response ? response : null;
    const stream = reply?.raw ?? (response as ServerResponse);
    // The reader disconnected while the guards ran: no 'close' event would follow.
    if (stream.destroyed) return;
    reply?.hijack();
    this.#streams.set(stream, this.clock.now() + MAX_STREAM_MS);
    stream.once('close', () => this.#remove(stream));
    // A connection that stayed open after the stream would keep the server from closing; HTTP/2 has no such
    // header.
    if (stream.req.httpVersionMajor === 1) stream.setHeader('Connection', 'close');
    stream.writeHead(200, HEADERS);
    stream.flushHeaders();
    this.#stop ??= this.#start();
  }

  /** Ends all streams and accepts no new one: a server that closes waits for open streams. */
  end(): void {
    this.#isEnded = true;
    for (const stream of this.#streams.keys()) stream.end();
  }

  #start(): () => void {
    let before = this.stats.totals;
    return this.clock.every(SECOND_MS, () => {
      const now = this.stats.totals;
      const nowMs = this.clock.now();
      const message = liveMessage(now, before, this.limiter.health().status, nowMs);
      before = now;
      for (const [stream, endMs] of this.#streams) {
        if (nowMs >= endMs) stream.end();
        // A reader that is too slow misses messages: they are not buffered for it.
        if (stream.writableNeedDrain || stream.writableEnded) continue;
        stream.write(`data: ${JSON.stringify(message)}\n\n`);
        stream.flush?.();
      }
    });
  }

  #remove(stream: ServerResponse): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#stop?.();
    this.#stop = null;
  }
}
