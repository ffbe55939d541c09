import { ApiError, toSentence } from './api.js';
import { formatDuration } from './time.js';

const INITIAL_BACKOFF_MS = 5_000;
const MAX_BACKOFF_MS = 60_000;

interface Poll<Data> {
  readonly everyMs: number;
  readonly load: () => Promise<Data>;
  readonly show: (data: Data) => void;
  /** Receives a text that also says when the next attempt is. */
  readonly showError: (text: string) => void;
  readonly onUnauthorized: (error: ApiError) => void;
  /** Returns true while polling is suspended because nobody is looking. */
  readonly isIdle: () => boolean;
}

/** Loads something periodically; after consecutive failures, with increasing delays. */
export class Poller<Data> {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  /** Responses of an earlier round are discarded. */
  #round = 0;

  constructor(private readonly poll: Poll<Data>) {}

  start(): void {
    this.stop();
    void this.#run(this.#round);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#round += 1;
  }

  async #run(round: number): Promise<void> {
    const { everyMs, load, show, showError, onUnauthorized, isIdle } = this.poll;
    let delayMs = everyMs;
    if (!isIdle()) {
      try {
        const data = await load();
        if (round !== this.#round) return;
        this.#failures = 0;
        show(data);
      } catch (error) {
        if (round !== this.#round) return;
        if (error instanceof ApiError && error.isUnauthorized) return onUnauthorized(error);
        // The same request would fail again.
        if (error instanceof ApiError && error.status === 400) return showError(toSentence(error));
        delayMs = Math.min(INITIAL_BACKOFF_MS * 2 ** this.#failures, MAX_BACKOFF_MS);
        this.#failures += 1;
        showError(`${toSentence(error)} Retrying in ${formatDuration(delayMs)}.`);
      }
    }
    this.#timer = setTimeout(() => void this.#run(round), delayMs);
  }
}
