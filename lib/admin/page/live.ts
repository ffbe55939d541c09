import { ApiError, send, toSentence } from './api.js';
import { parseEvents } from './event-stream.js';
import type { Second } from './points.js';

export type LiveState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'waiting'; readonly why: string; readonly untilMs: number };

interface Listener {
  readonly onSecond: (second: Second) => void;
  readonly onState: (state: LiveState) => void;
  readonly onUnauthorized: (error: ApiError) => void;
}

/** A message arrives every second. A stream that is silent for this long is lost, even if the connection is still open. */
const SILENCE_MS = 10_000;
const BACKOFFS_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
/** Far longer than any message. */
const MAX_CHARS = 65_536;

/** Reads the stream of seconds with fetch, because an EventSource cannot send a token. */
export class Live {
  #connection = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(private readonly listener: Listener) {}

  /** Connects immediately, even during a backoff. */
  start(): void {
    this.stop();
    this.#connection = new AbortController();
    void this.#run(this.#connection);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#connection.abort();
  }

  async #run(connection: AbortController): Promise<void> {
    this.listener.onState({ kind: 'connecting' });
    const lost = new AbortController();
    try {
      await this.#read(lost, AbortSignal.any([lost.signal, connection.signal]));
      throw new ApiError(0, 'The server ended the stream.');
    } catch (error) {
      if (connection.signal.aborted) return;
      if (error instanceof ApiError && error.isUnauthorized) return this.listener.onUnauthorized(error);
      const why = error instanceof ApiError ? toSentence(error) : 'The connection was lost.';
      const backoffMs = BACKOFFS_MS[Math.min(this.#failures, BACKOFFS_MS.length - 1)] as number;
      this.#failures += 1;
      this.listener.onState({ kind: 'waiting', why, untilMs: Date.now() + backoffMs });
      this.#timer = setTimeout(() => void this.#run(connection), backoffMs);
    } finally {
      lost.abort();
    }
  }

  async #read(lost: AbortController, signal: AbortSignal): Promise<void> {
    let silence = setTimeout(() => lost.abort(), SILENCE_MS);
    try {
      const response = await send('live', { headers: { Accept: 'text/event-stream' }, signal });
      if (response.body === null) return;
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let text = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => lost.abort(), SILENCE_MS);
        const { data, rest } = parseEvents(text + decoder.decode(value, { stream: true }));
        if (rest.length > MAX_CHARS) throw new ApiError(0, 'The response is not an event stream.');
        text = rest;
        for (const message of data) this.#handle(message);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #handle(message: string): void {
    const second = JSON.parse(message) as Second;
    this.#failures = 0;
    this.listener.onState({ kind: 'live' });
    this.listener.onSecond(second);
  }
}
