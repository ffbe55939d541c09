import { type Clock, runAfter } from '../core/clock.js';
import type { BreakerState } from './health.js';

/** When a breaker opens, and how it tries again. */
export interface BreakerSettings {
  /** Failures in a row after which calls stop, 1 or more. Default 5. */
  readonly threshold: number;
  /** Milliseconds until the first probe, 1 to 1,000; twice as long after each that fails, at most a second. Default 100. */
  readonly initialBackoffMs: number;
}

/** How a breaker reaches what it guards. */
export interface BreakerTarget {
  /** Resolves when the store decides as it should. */
  probe(): Promise<unknown>;
  /** Hears of each change of state. */
  onStateChange(state: BreakerState): void;
}

const MAX_BACKOFF_MS = 1_000;

/**
 * Stops calling what fails, and finds out by itself when it works again: by one probe at a time, after
 * pauses that grow up to a second and are cut by chance, so that a fleet does not probe in step.
 */
export class CircuitBreaker {
  #state: BreakerState = 'closed';
  #failures = 0;
  #error: unknown;
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #closedAtMs = Number.NEGATIVE_INFINITY;
  #backoffMs = 0;
  #probeAtMs = 0;
  #cancel: () => void = () => undefined;
  #hasEnded = false;
  #hasProbedEarly = false;

  constructor(
    readonly settings: BreakerSettings,
    readonly clock: Clock,
    readonly target: BreakerTarget,
    readonly random: () => number = Math.random,
  ) {}

  get state(): BreakerState {
    return this.#state;
  }

  /** When it answered last. */
  get lastAnswerMs(): number {
    return this.#lastAnswerMs;
  }

  /** Failures since the last answer. */
  get failures(): number {
    return this.#failures;
  }

  /** What failed last, while it is not closed. */
  get error(): unknown {
    return this.#error;
  }

  /** Milliseconds until the next probe; 0 while one is under way, and while it is closed. */
  get retryAfterMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#probeAtMs - this.clock.now()) : 0;
  }

  /** To be told of each answer in time. */
  onSuccess(nowMs: number): void {
    this.#lastAnswerMs = nowMs;
    if (this.#state === 'closed') this.#failures = 0;
  }

  /**
   * To be told of each call that failed.
   *
   * @param startedMs When it began: what began before it was closed again says nothing of it.
   * @param isShared Whether others may be to blame: what has answered since is not.
   */
  onFailure(error: unknown, startedMs = this.clock.now(), isShared = false): void {
    if (this.#state !== 'closed' || startedMs < this.#closedAtMs) return;
    if (isShared && this.#lastAnswerMs >= startedMs) return;
    this.#failures++;
    if (this.#failures >= this.settings.threshold) this.trip(error);
  }

  /** Opens, whatever the number of failures. */
  trip(error: unknown): void {
    this.#failures = Math.max(1, this.#failures);
    this.#backoffMs = Math.min(this.settings.initialBackoffMs, MAX_BACKOFF_MS);
    this.#backOff(error);
  }

  /** Probes at once, instead of at the end of its pause; once a pause, since what fails may ask for it again and again. */
  probeNow(): void {
    if (this.#state !== 'open' || this.#hasEnded || this.#hasProbedEarly) return;
    this.#hasProbedEarly = true;
    this.#cancel();
    void this.#probe();
  }

  /** Probes no more, and tells of nothing more. */
  stop(): void {
    this.#hasEnded = true;
    this.#cancel();
  }

  #backOff(error: unknown): void {
    this.#error = error;
    const backoffMs = Math.ceil(this.#backoffMs * (0.5 + this.random() / 2));
    this.#probeAtMs = this.clock.now() + backoffMs;
    this.#cancel();
    if (!this.#hasEnded) this.#cancel = runAfter(this.clock, backoffMs, () => this.#probeInTurn());
    this.#setState('open');
  }

  #probeInTurn(): void {
    this.#hasProbedEarly = false;
    void this.#probe();
  }

  async #probe(): Promise<void> {
    this.#setState('half-open');
    try {
      await this.target.probe();
    } catch (error) {
      this.#failures++;
      this.#backoffMs = Math.min(2 * this.#backoffMs, MAX_BACKOFF_MS);
      this.#backOff(error);
      return;
    }
    this.#failures = 0;
    this.#error = undefined;
    this.#closedAtMs = this.clock.now();
    this.#lastAnswerMs = this.#closedAtMs;
    this.#hasProbedEarly = false;
    this.#setState('closed');
  }

  #setState(state: BreakerState): void {
    // Nobody is told of a probe that was still under way at the end.
    if (this.#state === state || this.#hasEnded) return;
    this.#state = state;
    this.target.onStateChange(state);
  }
}
