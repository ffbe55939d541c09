import type { Charge } from '../core/decision.js';
import type { BreakerSettings } from './circuit-breaker.js';
import type { BreakerState } from './health.js';

/** How a {@link ResilientStore} guards a store. */
export interface ResilienceSettings {
  /** The time budget of a decision in milliseconds. */
  readonly timeoutMs: number;
  /** Among how many processes limits are divided while each decides for itself. */
  readonly instances: number;
  readonly breaker: BreakerSettings;
}

/** Hears how a store is doing. */
export interface StoreWatch {
  /** A request was decided without the store, or is refused for want of it. */
  degraded(charges: readonly Charge[], cause: unknown): void;
  /** Calls to a part of the store stop, are tried, or go on; the part is empty for the whole store. */
  breaker(shard: string, state: BreakerState, cause: unknown): void;
  /** All parts of the store decide again. */
  recovered(afterMs: number, degraded: number): void;
}

/** What an application may set of `ResilienceSettings`. */
export interface ResilienceOptions {
  /** How long a decision may take in milliseconds, 1 to 60,000, after which it is made without the store. Default 100. */
  readonly timeoutMs?: number | undefined;
  /**
   * How many processes there are, 1 or more: while the store fails, each admits its part of every limit, rounded
   * down, and never less than one request. Default 1: each admits the whole.
   */
  readonly instances?: number | undefined;
  /** When calls to a failing store stop. */
  readonly breaker?: Partial<BreakerSettings> | undefined;
}

/** The settings with their defaults. */
export const resilienceSettings = ({
  timeoutMs,
  instances,
  breaker,
}: ResilienceOptions): ResilienceSettings => ({
  timeoutMs: timeoutMs ?? 100,
  instances: instances ?? 1,
  breaker: { threshold: breaker?.threshold ?? 5, initialBackoffMs: breaker?.initialBackoffMs ?? 100 },
});
