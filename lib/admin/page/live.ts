import { ApiError, send, sentence } from './api.js';
import { messagesIn } from './messages.js';
import type { Second } from './points.js';

export type LiveState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'waiting'; readonly why: string; readonly untilMs: number };

interface Listener {
  readonly second: (second: Second) => void;
  readonly state: (state: LiveState) => void;
  readonly refused: (error: ApiError) => void;
}

/** A message comes every second; a stream that is silent for longer is lost, though nobody has said so. */
const SILENCE_MS = 10_000;
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
/** No message is nearly as long. */
const MAX_CHARS = 65_536;

/** The stream of seconds, read with fetch, since an EventSource cannot send a token. */
export class Live {
  #reading = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(private readonly listener: Listener) {}

  /** Connects, at once also while a pause lasts. */
  start(): void {
    this.stop();
    this.#reading = new AbortController();
    void this.#run(this.#reading);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#reading.abort();
  }

  async #run(reading: AbortController): Promise<void> {
    this.listener.state({ kind: 'connecting' });
    const lost = new AbortController();
    try {
      await this.#read(lost, AbortSignal.any([lost.signal, reading.signal]));
      throw new ApiError(0, 'The server ended the stream.');
    } catch (error) {
      if (reading.signal.aborted) return;
      if (error instanceof ApiError && error.isRefusal) return this.listener.refused(error);
      const why = error instanceof ApiError ? sentence(error) : 'The connection is lost.';
      const pauseMs = PAUSES_MS[Math.min(this.#failures, PAUSES_MS.length - 1)] as number;
      this.#failures += 1;
      this.listener.state({ kind: 'waiting', why, untilMs: Date.now() + pauseMs });
      this.#timer = setTimeout(() => void this.#run(reading), pauseMs);
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
        const { data, rest } = messagesIn(text + decoder.decode(value, { stream: true }));
        if (rest.length > MAX_CHARS) throw new ApiError(0, 'The stream is not one of events.');
        text = rest;
        for (const message of data) this.#take(message);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #take(message: string): void {
    const second = JSON.parse(message) as Second;
    this.#failures = 0;
    this.listener.state({ kind: 'live' });
    this.listener.second(second);
  }
}
