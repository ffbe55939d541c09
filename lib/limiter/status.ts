import type { Charge, Decision } from '../core/decision.js';
import { asFailOpen } from '../core/policy.js';
import type { Store } from '../store/store.js';

/** The state of one limit for an identity. */
export interface LimitStatus {
  /** The scope that the limit belongs to. */
  readonly scope: string;
  /** The limit's name, as clients see it. */
  readonly name: string;
  /** Units that the limit admits immediately: its burst with a token bucket. */
  readonly limit: number;
  /** Units left; 0 during a block. */
  readonly remaining: number;
  /** Milliseconds until no charge counts any more. */
  readonly resetAfterMs: number;
  /** 0 if a cost of 1 passes now, otherwise the wait; null if no wait helps. */
  readonly retryAfterMs: number | null;
  /** Milliseconds until one more unit is left than now; null if that never happens, as in a full bucket. */
  readonly nextUnitMs: number | null;
  /** Milliseconds left of a block that denies everything; 0 without one. */
  readonly blockedForMs: number;
}

/** The state of a bucket. */
export interface BucketStatus {
  /** The decision about a cost of 1. */
  readonly decision: Decision;
  /** Milliseconds until one more unit is left than now; null if that never happens, as in a full bucket. */
  readonly nextUnitMs: number | null;
}

/** Returns the part of a bucket's state that applications see. */
export function limitStatus({ decision, nextUnitMs }: BucketStatus): LimitStatus {
  const { name, limit, remaining, resetAfterMs, retryAfterMs, blockedForMs, charge } = decision;
  const { scope } = charge.policy;
  return { scope, name, limit, remaining, resetAfterMs, retryAfterMs, nextUnitMs, blockedForMs };
}

/** The buckets in one call: the store does nothing else meanwhile. */
const BATCH_SIZE = 100;

async function batchStatuses(store: Store, charges: readonly Charge[]): Promise<readonly BucketStatus[]> {
  const { decisions } = await store.peek(charges);
  const oneMore = decisions.map(({ charge, remaining }) => ({ ...charge, cost: remaining + 1 }));
  const reply = await store.peek(oneMore);
  const byCharge = new Map(reply.decisions.map((decision) => [decision.charge, decision]));
  return decisions.map((decision, at) => ({
    decision,
    nextUnitMs: byCharge.get(oneMore[at] as Charge)?.retryAfterMs ?? null,
  }));
}

/**
 * Returns the state of the buckets that charges name, in their order; charges nothing. While the store fails,
 * returns what this process knows, and omits the buckets of limits that it does not decide meanwhile.
 */
export async function bucketStatuses(
  store: Store,
  charges: readonly Charge[],
): Promise<readonly BucketStatus[]> {
  const ofOne = charges.map((charge) => ({ ...charge, cost: 1, policy: asFailOpen(charge.policy) }));
  const statuses: BucketStatus[] = [];
  for (let start = 0; start < ofOne.length; start += BATCH_SIZE) {
    statuses.push(...(await batchStatuses(store, ofOne.slice(start, start + BATCH_SIZE))));
  }
  return statuses;
}
