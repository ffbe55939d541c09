import type { Clock } from '../core/clock.js';
import { definePolicy } from '../core/policy.js';
import type { Store, StoreReply } from '../store/store.js';
import { withTimeout } from './timeout-queue.js';

/** Returns one of the identities for probes; there are enough of them to reach every shard of a store. */
export const probeIdentity = (index: number): string => `probe:${index}`;

export const FIRST_PROBE = probeIdentity(0);

// Has a key of its own, which expires by itself.
const PROBE = definePolicy({ name: 'probe', scope: 'probe', rate: { limit: 1_000_000, windowMs: 1_000 } });

/** Asks a store for a decision, as requests do; rejects when it fails or takes longer than `withinMs`. */
export async function probe(store: Store, identity: string, withinMs: number, clock: Clock): Promise<void> {
  const charges = [{ policy: PROBE, identity, cost: 1, shadow: false, blockDurationsMs: [] }];
  const reply = await withTimeout(withinMs, clock, () => store.consume(charges));
  if (!isStoreReply(reply)) throw INVALID_REPLY;
}

/** The error for a store that returns anything but decisions. */
export const INVALID_REPLY = new Error('The store returned no decisions.');

/** Checks the shape of a store's reply. */
export const isStoreReply = (reply: unknown): reply is StoreReply =>
  Array.isArray((reply as Partial<StoreReply> | null | undefined)?.decisions);
