import type { Charge } from '../core/decision.js';
import type { BreakerSettings, BreakerState } from './circuit-breaker.js';

/**
 * Reports how a store is doing:
 * - `degraded`: a request was decided without the store, or rejected because it failed. The cause is null when what
 *   this process had admitted in an outage left no room.
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
      /** Requests that were decided without the store during it. */
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
export const resilienceSettings = ({ timeoutMs, instances, breaker }: ResilienceOptions) => ({
  timeoutMs: timeoutMs ?? 100,
  instances: instances ?? 1,
  breaker: { threshold: breaker?.threshold ?? 5, initialBackoffMs: breaker?.initialBackoffMs ?? 100 },
});

/** The options with their defaults. */
export type ResilienceSettings = Readonly<ReturnType<typeof resilienceSettings>>;
