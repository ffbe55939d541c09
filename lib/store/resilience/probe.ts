import type { Clock } from '../../core/clock.js';
import { definePolicy } from '../../core/policy.js';
import type { Store } from '../store.js';
import { isReply, NO_DECISIONS } from './reply.js';
import { within } from './within.js';

/** Identities of probes, of which there are as many as it takes to meet every part of a store. */
export const probeIdentity = (at: number): string => `probe:${at}`;

export const FIRST_PROBE = probeIdentity(0);

// A key of its own, which ends by itself.
const PROBE = definePolicy({ name: 'probe', scope: 'probe', rate: { limit: 1_000_000, windowMs: 1_000 } });

/** Has a store decide as it does for requests; rejects when it does not, or takes longer than `withinMs`. */
export async function probe(store: Store, identity: string, withinMs: number, clock: Clock): Promise<void> {
  const charges = [{ policy: PROBE, identity, cost: 1, shadow: false, blocks: [] }];
  const reply = await within(withinMs, clock, () => store.consume(charges));
  if (!isReply(reply)) throw NO_DECISIONS;
}
