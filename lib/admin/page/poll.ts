import { ApiError, sentence } from './api.js';
import { formatDuration } from './time.js';

const FIRST_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 60_000;

interface Poll<Answer> {
  readonly everyMs: number;
  readonly load: () => Promise<Answer>;
  readonly show: (answer: Answer) => void;
  /** The text says when it is tried again. */
  readonly showError: (text: string) => void;
  readonly refused: (error: ApiError) => void;
  /** Whether it rests: nobody looks. */
  readonly rests: () => boolean;
}

/** Reads something again and again; after failures in a row, ever less often. */
export class Poller<Answer> {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  /** Answers to an earlier round come too late to be shown. */
  #round = 0;

  constructor(private readonly poll: Poll<Answer>) {}

  start(): void {
    this.stop();
    void this.#run(this.#round);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#round += 1;
  }

  async #run(round: number): Promise<void> {
    const { everyMs, load, show, showError, refused, rests } = this.poll;
    let pauseMs = everyMs;
    if (!rests()) {
      try {
        const answer = await load();
        if (round !== this.#round) return;
        this.#failures = 0;
        show(answer);
      } catch (error) {
        if (round !== this.#round) return;
        if (error instanceof ApiError && error.isRefusal) return refused(error);
        // To ask for the same thing again would not help.
        if (error instanceof ApiError && error.status === 400) return showError(sentence(error));
        pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, MAX_PAUSE_MS);
        this.#failures += 1;
        showError(`${sentence(error)} Trying again in ${formatDuration(pauseMs)}.`);
      }
    }
    this.#timer = setTimeout(() => void this.#run(round), pauseMs);
  }
}
