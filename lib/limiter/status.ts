import { andThen } from '../core/awaitable.js';
import type { Charge, Decision } from '../core/decision.js';
import { asFailOpen } from '../core/policy.js';
import type { Store } from '../store/store.js';

/** Buckets that a store is asked about at a time: it does nothing else meanwhile. */
const BATCH_SIZE = 100;

/** How a bucket stands for a charge of 1. */
export interface BucketStatus {
  readonly decision: Decision;
  /** Milliseconds until there is a unit more than remains now; null when none will be, as in a full bucket. */
  readonly nextUnitMs: number | null;
}

const peek = (store: Store, charges: readonly Charge[]): Promise<readonly Decision[]> =>
  Promise.resolve(andThen(store.peek(charges), ({ decisions }) => decisions));

async function batchStatuses(store: Store, charges: readonly Charge[]): Promise<readonly BucketStatus[]> {
  const now = await peek(store, charges);
  const oneMore = now.map(({ charge, remaining }) => ({ ...charge, cost: remaining + 1 }));
  const more = new Map((await peek(store, oneMore)).map((decision) => [decision.charge, decision]));
  return now.map((decision, at) => ({
    decision,
    nextUnitMs: more.get(oneMore[at] as Charge)?.retryAfterMs ?? null,
  }));
}

/**
 * How the buckets of charges stand, in their order; charges nothing. While the store fails, as this process knows
 * them; those of limits that it does not decide meanwhile are left out.
 */
export async function bucketStatuses(
  store: Store,
  charges: readonly Charge[],
): Promise<readonly BucketStatus[]> {
  const all: BucketStatus[] = [];
  for (let at = 0; at < charges.length; at += BATCH_SIZE) {
    const some = charges.slice(at, at + BATCH_SIZE);
    all.push(
      ...(await batchStatuses(
        store,
        some.map((charge) => ({ ...charge, cost: 1, policy: asFailOpen(charge.policy) })),
      )),
    );
  }
  return all;
}
