import type { ServerResponse } from 'node:http';
import { ServiceUnavailableException } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { Runtime } from '../nest/request/runtime.js';
import { liveMessage } from './responses.js';

const SECOND_MS = 1_000;
/** Then readers ask again, and guards are asked too. */
const MAX_STREAM_MS = 600_000;
const MAX_STREAMS = 100;

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  // Proxies that keep back what they are given would show nothing.
  'X-Accel-Buffering': 'no',
};

/** What Fastify gives to answer with. */
interface Reply {
  readonly raw: ServerResponse;
  /** From then on the response is not Fastify's own. */
  hijack(): void;
}

/** Of a middleware that compresses what is sent. */
interface Flushing {
  flush?(): void;
}

/** What this process counts, sent second by second to all who look on; nothing is done while nobody does. */
export class LiveStream {
  /** When each ends. */
  readonly #streams = new Map<ServerResponse & Flushing, number>();
  #isEnded = false;
  #stop: (() => void) | null = null;

  constructor(
    readonly runtime: Pick<Runtime, 'stats' | 'limiter'>,
    readonly clock: Clock,
  ) {}

  /**
   * Sends events over a response until its reader goes, or ten minutes are over, or {@link end}.
   *
   * @throws ServiceUnavailableException when the application closes, or too many look on.
   */
  stream(response: ServerResponse | Reply): void {
    if (this.#isEnded || this.#streams.size >= MAX_STREAMS) {
      throw new ServiceUnavailableException('No more streams can be opened now.');
    }
    const reply = 'raw' in response ? response : null;
    const stream = reply?.raw ?? (response as ServerResponse);
    // Its reader has gone while guards were asked, and nobody would hear of it any more.
    if (stream.destroyed) return;
    reply?.hijack();
    this.#streams.set(stream, this.clock.now() + MAX_STREAM_MS);
    stream.once('close', () => this.#leave(stream));
    // A connection that stayed open behind it would keep the server from closing; HTTP/2 has no such header.
    if (stream.req.httpVersionMajor === 1) stream.setHeader('Connection', 'close');
    stream.writeHead(200, HEADERS);
    stream.flushHeaders();
    this.#stop ??= this.#start();
  }

  /** Ends all streams, and opens no other: a server waits for them when it closes. */
  end(): void {
    this.#isEnded = true;
    for (const stream of this.#streams.keys()) stream.end();
  }

  #start(): () => void {
    let before = this.runtime.stats.totals;
    return this.clock.every(SECOND_MS, () => {
      const now = this.runtime.stats.totals;
      const second = liveMessage(now, before, this.runtime.limiter.health().status, this.clock.now());
      before = now;
      for (const [stream, endMs] of this.#streams) {
        if (this.clock.now() >= endMs) stream.end();
        // Who reads too slowly misses seconds, and does not have them kept.
        if (stream.writableNeedDrain || stream.writableEnded) continue;
        stream.write(`data: ${JSON.stringify(second)}\n\n`);
        stream.flush?.();
      }
    });
  }

  #leave(stream: ServerResponse): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#stop?.();
    this.#stop = null;
  }
}
