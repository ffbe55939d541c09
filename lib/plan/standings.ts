import type { Charge, Decision } from '../core/decision.js';
import { andThen } from '../core/later.js';
import { neverFailing } from '../core/policy.js';
import type { Store } from '../store/store.js';

/** Buckets that a store is asked about at a time: it does nothing else meanwhile. */
const AT_A_TIME = 100;

/** How a bucket stands for a charge of 1. */
export interface BucketStanding {
  readonly decision: Decision;
  /** Milliseconds until there is a unit more than remains now; null when none will be, as in a full bucket. */
  readonly nextUnitMs: number | null;
}

const peek = (store: Store, charges: readonly Charge[]): Promise<readonly Decision[]> =>
  Promise.resolve(andThen(store.peek(charges), ({ decisions }) => decisions));

async function standingsOfSome(store: Store, charges: readonly Charge[]): Promise<readonly BucketStanding[]> {
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
export async function standingsOf(
  store: Store,
  charges: readonly Charge[],
): Promise<readonly BucketStanding[]> {
  const all: BucketStanding[] = [];
  for (let at = 0; at < charges.length; at += AT_A_TIME) {
    const some = charges.slice(at, at + AT_A_TIME);
    all.push(
      ...(await standingsOfSome(
        store,
        some.map((charge) => ({ ...charge, cost: 1, policy: neverFailing(charge.policy) })),
      )),
    );
  }
  return all;
}
