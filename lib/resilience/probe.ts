import type { Clock } from '../core/clock.js';
import { definePolicy } from '../core/policy.js';
import type { Store, StoreReply } from '../store/store.js';
import { withTimeout } from './timeout-queue.js';

/** Identities of probes, of which there are as many as it takes to meet every part of a store. */
export const probeIdentity = (at: number): string => `probe:${at}`;

export const FIRST_PROBE = probeIdentity(0);

// A key of its own, which ends by itself.
const PROBE = definePolicy({ name: 'probe', scope: 'probe', rate: { limit: 1_000_000, windowMs: 1_000 } });

/** Has a store decide as it does for requests; rejects when it does not, or takes longer than `withinMs`. */
export async function probe(store: Store, identity: string, withinMs: number, clock: Clock): Promise<void> {
  const charges = [{ policy: PROBE, identity, cost: 1, shadow: false, blockDurationsMs: [] }];
  const reply = await withTimeout(withinMs, clock, () => store.consume(charges));
  if (!isStoreReply(reply)) throw INVALID_REPLY;
}

/** What is said of a store that answers something else than decisions. */
export const INVALID_REPLY = new Error('The store gave no decisions.');

/** Whether what a store has answered are decisions, as far as one can see. */
export const isStoreReply = (reply: unknown): reply is StoreReply =>
  Array.isArray((reply as Partial<StoreReply> | null | undefined)?.decisions);
