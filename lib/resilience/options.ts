import type { Charge } from '../core/decision.js';
import type { BreakerSettings } from './circuit-breaker.js';
import type { BreakerState } from './health.js';

/** Settings of a {@link ResilientStore}. */
export interface ResilienceSettings {
  /** Time budget of a decision in milliseconds. */
  readonly timeoutMs: number;
  /** Number of processes that share the limits while each decides for itself. */
  readonly instances: number;
  readonly breaker: BreakerSettings;
}

/**
 * Reports how a store is doing:
 * - `degraded`: a request was decided without the store, or refused because it failed. The cause is null when no
 *   room was left by what this process had admitted in an outage.
 * - `breaker`: calls to a shard of the store stop, are tried or resume. The shard is empty for the whole store.
 * - `recovered`: all shards of the store decide again.
 */
export type StoreEvent =
  | { readonly kind: 'degraded'; readonly charges: readonly Charge[]; readonly cause: unknown }
  | {
      readonly kind: 'breaker';
      readonly shard: string;
      readonly state: BreakerState;
      readonly cause: unknown;
    }
  | {
      readonly kind: 'recovered';
      /** Length of the outage. */
      readonly afterMs: number;
      /** Requests that were decided without the store meanwhile. */
      readonly degraded: number;
    };

/** Options of an application for failures of its store. */
export interface ResilienceOptions {
  /** Milliseconds that a decision may take, 1 to 60,000; after that it is made without the store. Default 100. */
  readonly timeoutMs?: number | undefined;
  /**
   * Number of processes, 1 or more. While the store fails, each admits its share of every limit, rounded
   * down but at least one request. Default 1: each admits the whole limit.
   */
  readonly instances?: number | undefined;
  /** Circuit breaker that stops calls to a failing store. */
  readonly breaker?: Partial<BreakerSettings> | undefined;
}

/** Fills in the defaults. */
export const resilienceSettings = ({
  timeoutMs,
  instances,
  breaker,
}: ResilienceOptions): ResilienceSettings => ({
  timeoutMs: timeoutMs ?? 100,
  instances: instances ?? 1,
  breaker: { threshold: breaker?.threshold ?? 5, initialBackoffMs: breaker?.initialBackoffMs ?? 100 },
});
