import type { Charge } from '../core/decision.js';
import { definePolicy, type Policy } from '../core/policy.js';
import { retryAfterSeconds } from '../http/duration-words.js';
import { identityKind } from '../identity/identity.js';
import { type BucketStatus, bucketStatuses } from '../limiter/status.js';
import type { Limit } from '../plan/limit.js';
import { type GuardedStore, storeHealth } from '../resilience/guard-store.js';
import { isoTimeAfter } from './responses.js';

type AnyLimit = Pick<Limit<never>, 'keyForms' | 'rate' | 'shadow'>;

/**
 * Returns true if a key is meant to charge an identity. What it charges besides, such as the address of a
 * request that lacks a value, shows once it has been charged.
 */
function isIntendedFor({ keyForms }: AnyLimit, identity: string): boolean {
  const kinds = identity.split('+').map(identityKind);
  return keyForms.some(
    (forms) =>
      forms.length === kinds.length && forms.every((form, index) => form.identityKind === kinds[index]),
  );
}

/** A policy that a limit may have, and its tier. */
interface TierPolicy {
  readonly policy: Policy | null;
  readonly tier: string | null;
}

/** Returns the policies of a limit that are known without a request. */
function policiesOf({ rate }: AnyLimit): readonly TierPolicy[] {
  if (rate.kind === 'fixed') return [{ policy: rate.policy, tier: null }];
  if (rate.kind === 'load') return [{ policy: rate.policyFor(), tier: null }];
  if (rate.kind === 'tiers') return [...rate.policies].map(([tier, policy]) => ({ policy, tier }));
  return [];
}

// Nothing is charged under it, so only a block of the whole identity can deny it.
const UNCHARGED = definePolicy({ name: 'block', scope: 'admin', rate: { limit: 1, windowMs: 1_000 } });

const bucketResponse = ({ decision, nextUnitMs }: BucketStatus, tier: string | null, nowMs: number) => {
  const { charge, name, limit, remaining, resetAfterMs, retryAfterMs, blockedForMs } = decision;
  return {
    scope: charge.policy.scope,
    name,
    tier,
    limit,
    remaining,
    reset_at: isoTimeAfter(resetAfterMs, nowMs),
    retry_after_seconds: retryAfterMs === 0 ? 0 : retryAfterSeconds(retryAfterMs),
    next_unit_at: isoTimeAfter(nextUnitMs ?? 0, nowMs),
    blocked_until: isoTimeAfter(blockedForMs, nowMs),
  };
};

/** A bucket to query. */
interface BucketQuery {
  readonly charge: Charge;
  readonly tier: string | null;
  /** True to list it even when nothing is charged to it. */
  readonly isIntended: boolean;
}

function* queriesFor(identity: string, limits: Iterable<AnyLimit>): Iterable<BucketQuery> {
  const seen = new Set<string>();
  for (const limit of limits) {
    for (const { policy, tier } of policiesOf(limit)) {
      // A bucket of several tiers is listed under each, since nobody knows which tier its client has.
      const key = `${policy?.bucketKey} ${tier}`;
      if (policy === null || seen.has(key)) continue;
      seen.add(key);
      const charge = { policy, identity, cost: 1, shadow: limit.shadow, blockDurationsMs: [] };
      yield { charge, tier, isIntended: isIntendedFor(limit, identity) };
    }
  }
}

/** Returns groups in which no bucket occurs twice, as stores require. */
function batches(queries: readonly BucketQuery[]): readonly (readonly BucketQuery[])[] {
  const groups: Map<string, BucketQuery>[] = [];
  for (const query of queries) {
    const { bucketKey } = query.charge.policy;
    let group = groups.find((candidate) => !candidate.has(bucketKey));
    if (group === undefined) {
      group = new Map();
      groups.push(group);
    }
    group.set(bucketKey, query);
  }
  return groups.map((group) => [...group.values()]);
}

/**
 * Returns the state of every bucket of an identity that a limit charges, or has charged, and the block of all
 * of them.
 */
export async function clientStatus(
  identity: string,
  limits: Iterable<AnyLimit>,
  store: GuardedStore,
  now: () => number,
) {
  const whole = { policy: UNCHARGED, identity, cost: 1, shadow: false, blockDurationsMs: [] };
  const [block] = await bucketStatuses(store, [whole]);
  const blockedForMs = block?.decision.blockedForMs ?? 0;
  const buckets: object[] = [];
  const nowMs = now();
  for (const group of batches([...queriesFor(identity, limits)])) {
    const statuses = await bucketStatuses(
      store,
      group.map(({ charge }) => charge),
    );
    for (const status of statuses) {
      const { used, charge } = status.decision;
      const query = group.find((candidate) => candidate.charge.policy.bucketKey === charge.policy.bucketKey);
      if (query?.isIntended || used > 0) buckets.push(bucketResponse(status, query?.tier ?? null, nowMs));
    }
  }
  return {
    identity,
    blocked_until: isoTimeAfter(blockedForMs, nowMs),
    is_complete: storeHealth(store).status === 'up',
    buckets,
  };
}
