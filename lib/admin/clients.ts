import type { Charge } from '../core/decision.js';
import { definePolicy, type Policy } from '../core/policy.js';
import { retryAfterSeconds } from '../http/duration-words.js';
import { identityKind } from '../identity/identity.js';
import { type BucketStatus, bucketStatuses } from '../limiter/status.js';
import type { Limit } from '../plan/limit.js';
import type { KeyRule } from '../plan/options.js';
import type { ResilientStore } from '../resilience/resilient-store.js';
import { isoTimeAfter } from './responses.js';

type AnyLimit = Pick<Limit<never>, 'key' | 'rate' | 'shadow'>;

/** Kinds of identities that one word of a key makes; what another word makes is of a kind of its own. */
const KINDS: Readonly<Record<string, string>> = { ip: 'ip', anon: 'ip', user: 'user', global: 'global' };

/** Whether a key is meant to charge an identity. What charges it besides, such as an address in place of a value that is missing, shows when it has. */
function isIntendedFor(key: KeyRule<never>, identity: string): boolean {
  if (typeof key !== 'string') return false;
  const kinds = identity.split('+').map(identityKind);
  return key.split('|').some((together) => {
    const words = together.split('+').map((word) => word.trim());
    return (
      words.length === kinds.length &&
      words.every((word, at) => (KINDS[word] ?? identityKind(word)) === kinds[at])
    );
  });
}

/** A policy that a limit may have, and the tier that it is for. */
interface TierPolicy {
  readonly policy: Policy | null;
  readonly tier: string | null;
}

/** The policies of a limit, as far as they are known without a request. */
function policiesOf({ rate }: AnyLimit): readonly TierPolicy[] {
  if (rate.kind === 'fixed') return [{ policy: rate.policy, tier: null }];
  if (rate.kind === 'load') return [{ policy: rate.policyFor(), tier: null }];
  if (rate.kind === 'tiers') return [...rate.policies].map(([tier, policy]) => ({ policy, tier }));
  return [];
}

// Nothing is charged under it: what it is denied by is a block of the whole identity.
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

/** A bucket that is asked about. */
interface BucketQuery {
  readonly charge: Charge;
  readonly tier: string | null;
  /** Whether it is told of also when nothing is charged to it. */
  readonly isIntended: boolean;
}

function* queriesFor(identity: string, limits: Iterable<AnyLimit>): Iterable<BucketQuery> {
  const seen = new Set<string>();
  for (const limit of limits) {
    for (const { policy, tier } of policiesOf(limit)) {
      // A bucket of several tiers is told of under each, since nobody knows which one its client has.
      const key = `${policy?.bucketKey} ${tier}`;
      if (policy === null || seen.has(key)) continue;
      seen.add(key);
      const charge = { policy, identity, cost: 1, shadow: limit.shadow, blockDurationsMs: [] };
      yield { charge, tier, isIntended: isIntendedFor(limit.key, identity) };
    }
  }
}

/** Groups in which no bucket is asked about twice, as stores want it. */
function batches(queries: readonly BucketQuery[]): readonly (readonly BucketQuery[])[] {
  const groups: Map<string, BucketQuery>[] = [];
  for (const one of queries) {
    const { bucketKey } = one.charge.policy;
    let group = groups.find((known) => !known.has(bucketKey));
    if (group === undefined) {
      group = new Map();
      groups.push(group);
    }
    group.set(bucketKey, one);
  }
  return groups.map((group) => [...group.values()]);
}

/**
 * How every bucket of an identity stands that a limit is meant to charge, or has charged, and until when all of them
 * are blocked.
 */
export async function clientStatus(
  identity: string,
  limits: Iterable<AnyLimit>,
  store: ResilientStore,
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
      const query = group.find((one) => one.charge.policy.bucketKey === charge.policy.bucketKey);
      if (query?.isIntended || used > 0) buckets.push(bucketResponse(status, query?.tier ?? null, nowMs));
    }
  }
  return {
    identity,
    blocked_until: isoTimeAfter(blockedForMs, nowMs),
    is_complete: store.health().status === 'up',
    buckets,
  };
}
