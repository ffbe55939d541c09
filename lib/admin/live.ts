import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.js';
import type { Runtime } from '../nest/runtime.js';
import { secondAnswer } from './answers.js';

const SECOND_MS = 1_000;

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  // Proxies that keep back what they are given would show nothing.
  'X-Accel-Buffering': 'no',
};

/** What handlers are given to answer with: Node's own response, which Fastify keeps in its `raw`. */
interface PlatformResponse {
  readonly raw?: ServerResponse;
  /** Fastify's: from then on the response is not its own. */
  hijack?(): void;
}

/** Of a middleware that compresses what is sent. */
interface Flushing {
  flush?(): void;
}

/** What this process counts, sent second by second to all who look on; nothing is done while nobody does. */
export class Live {
  readonly #streams = new Set<ServerResponse & Flushing>();
  #stop: (() => void) | null = null;

  constructor(
    readonly runtime: Pick<Runtime, 'stats' | 'limiter'>,
    readonly clock: Clock,
  ) {}

  /** Sends events over a response until its reader goes, or {@link end}. */
  stream(response: PlatformResponse): void {
    response.hijack?.();
    const stream = response.raw ?? (response as ServerResponse);
    this.#streams.add(stream);
    stream.once('close', () => this.#leave(stream));
    // A connection that stayed open behind it would keep the server from closing; HTTP/2 has no such header.
    if (stream.req.httpVersionMajor === 1) stream.setHeader('Connection', 'close');
    stream.writeHead(200, HEADERS);
    stream.flushHeaders();
    this.#stop ??= this.#start();
  }

  /** Ends all streams. */
  end(): void {
    for (const stream of this.#streams) stream.end();
  }

  #start(): () => void {
    let before = this.runtime.stats.totals;
    return this.clock.every(SECOND_MS, () => {
      const now = this.runtime.stats.totals;
      const second = secondAnswer(now, before, this.runtime.limiter.health().status, this.clock.now());
      before = now;
      for (const stream of this.#streams) {
        // Who reads too slowly misses seconds, and does not have them kept.
        if (stream.writableNeedDrain) continue;
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
