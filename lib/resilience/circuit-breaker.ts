import { type Clock, runAfter } from '../core/clock.js';

/** State of a circuit breaker. `closed`: calls go to the store; `open`: none do; `half-open`: only a probe does. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** Settings of a circuit breaker. */
export interface BreakerSettings {
  /** Consecutive failures after which calls stop, 1 or more. Default 5. */
  readonly threshold: number;
  /** Milliseconds until the first probe, 1 to 1,000. Doubles after each failed probe, up to a second. Default 100. */
  readonly initialBackoffMs: number;
}

/** The target of a breaker's calls. */
export interface BreakerTarget {
  /** Resolves when the target works. */
  probe(): Promise<unknown>;
  onStateChange(state: BreakerState): void;
}

const MAX_BACKOFF_MS = 1_000;

/**
 * Circuit breaker. Opens after `threshold` consecutive failures, then probes with exponential backoff (at most 1 s),
 * one probe at a time, with jitter so that a fleet does not probe in lockstep.
 */
export class CircuitBreaker {
  #state: BreakerState = 'closed';
  #failures = 0;
  #error: unknown;
  #lastResponseMs = Number.NEGATIVE_INFINITY;
  #closedAtMs = Number.NEGATIVE_INFINITY;
  #backoffMs = 0;
  #probeAtMs = 0;
  #cancel: () => void = () => undefined;
  #isStopped = false;
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

  /** Time of the last response. */
  get lastResponseMs(): number {
    return this.#lastResponseMs;
  }

  /** Failures since the last response. */
  get failures(): number {
    return this.#failures;
  }

  /** The last error, while it is not closed. */
  get error(): unknown {
    return this.#error;
  }

  /** Milliseconds until the next probe; 0 during a probe and while it is closed. */
  get retryAfterMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#probeAtMs - this.clock.now()) : 0;
  }

  /** Records a response in time. */
  onSuccess(nowMs: number): void {
    this.#lastResponseMs = nowMs;
    if (this.#state === 'closed') this.#failures = 0;
  }

  /**
   * Records a call that failed.
   *
   * @param startedMs When the call began: one from before the breaker closed again says nothing about its target.
   */
  onFailure(error: unknown, startedMs = this.clock.now()): void {
    if (this.#state !== 'closed' || startedMs < this.#closedAtMs) return;
    this.#failures++;
    if (this.#failures >= this.settings.threshold) this.trip(error);
  }

  /** Opens it without waiting for more failures, unless it is open already. */
  trip(error: unknown): void {
    if (this.#state !== 'closed') return;
    this.#failures = Math.max(1, this.#failures);
    this.#backoffMs = Math.min(this.settings.initialBackoffMs, MAX_BACKOFF_MS);
    this.#backOff(error);
  }

  /** Probes immediately instead of after its backoff; once a backoff, since a failing target may ask for it repeatedly. */
  probeNow(): void {
    if (this.#state !== 'open' || this.#isStopped || this.#hasProbedEarly) return;
    this.#cancel();
    void this.#probe(true);
  }

  /** Ends probes and notifications for good. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #backOff(error: unknown): void {
    this.#error = error;
    const backoffMs = Math.ceil(this.#backoffMs * (0.5 + this.random() / 2));
    this.#probeAtMs = this.clock.now() + backoffMs;
    this.#cancel();
    if (!this.#isStopped) this.#cancel = runAfter(this.clock, backoffMs, () => void this.#probe(false));
    this.#setState('open');
  }

  async #probe(isEarly: boolean): Promise<void> {
    this.#hasProbedEarly = isEarly;
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
    this.#lastResponseMs = this.#closedAtMs;
    this.#hasProbedEarly = false;
    this.#setState('closed');
  }

  #setState(state: BreakerState): void {
    // A probe that was still running when it was stopped changes nothing.
    if (this.#state === state || this.#isStopped) return;
    this.#state = state;
    this.target.onStateChange(state);
  }
}
