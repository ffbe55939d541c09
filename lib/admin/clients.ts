import type { Charge } from '../core/decision.js';
import { definePolicy, type Policy } from '../core/policy.js';
import { retrySeconds } from '../http/seconds.js';
import { kindOf } from '../key/identity.js';
import type { Limit } from '../plan/limit.js';
import type { KeyRule } from '../plan/options.js';
import { type BucketStanding, standingsOf } from '../plan/standings.js';
import type { Store } from '../store/store.js';
import { momentIn } from './answers.js';

type AnyLimit = Pick<Limit<never>, 'key' | 'rate' | 'shadow'>;

/** Kinds of identities that one word of a key makes; what another word makes is of a kind of its own. */
const KINDS: Readonly<Record<string, string>> = { ip: 'ip', anon: 'ip', user: 'user', global: 'global' };
const KNOWN_KINDS = new Set(Object.values(KINDS));

/** Whether a key may charge an identity; of what functions find nothing is known. */
function mayCharge(key: KeyRule<never>, identity: string): boolean {
  if (typeof key !== 'string') return true;
  const kinds = identity.split('+').map(kindOf);
  return key.split('|').some((together) => {
    const words = together.split('+').map((word) => word.trim());
    const fits = (word: string, at: number): boolean => {
      const kind = kinds[at] as string;
      const own = KINDS[word];
      return own === undefined ? !KNOWN_KINDS.has(kind) && kind === kindOf(word) : own === kind;
    };
    return words.length === kinds.length && words.every(fits);
  });
}

/** The policy of a limit, as far as it is known without a request: of tiers the default one. */
function policyIn({ rate }: AnyLimit): Policy | null {
  if (rate.kind === 'fixed') return rate.policy;
  if (rate.kind === 'load') return rate.policyFor();
  return rate.kind === 'tiers' ? rate.ofTier(undefined) : null;
}

// Nothing is charged under it: what it is denied by is a block of the whole identity.
const UNCHARGED = definePolicy({ name: 'block', scope: 'admin', rate: { limit: 1, windowMs: 1_000 } });

const bucketAnswer = ({ decision, nextUnitMs }: BucketStanding, nowMs: number) => {
  const { charge, name, limit, remaining, resetAfterMs, retryAfterMs, blockedForMs } = decision;
  return {
    scope: charge.policy.scope,
    name,
    limit,
    remaining,
    reset_at: momentIn(resetAfterMs, nowMs),
    retry_after_seconds: retryAfterMs === 0 ? 0 : retrySeconds(retryAfterMs),
    next_unit_at: momentIn(nextUnitMs ?? 0, nowMs),
    blocked_until: momentIn(blockedForMs, nowMs),
  };
};

/** How every bucket of an identity stands that a limit may charge, and until when all of them are blocked. */
export async function clientAnswer(
  identity: string,
  limits: Iterable<AnyLimit>,
  store: Store,
  now: () => number,
) {
  const charges = new Map<string, Charge>();
  const add = (policy: Policy, shadow: boolean): void => {
    charges.set(policy.tail, { policy, identity, cost: 1, shadow, blocks: [] });
  };
  add(UNCHARGED, false);
  for (const limit of limits) {
    const policy = mayCharge(limit.key, identity) ? policyIn(limit) : null;
    if (policy !== null && !charges.has(policy.tail)) add(policy, limit.shadow);
  }
  const [whole, ...buckets] = await standingsOf(store, [...charges.values()]);
  const nowMs = now();
  return {
    identity,
    blocked_until: momentIn(whole?.decision.blockedForMs ?? 0, nowMs),
    buckets: buckets.map((bucket) => bucketAnswer(bucket, nowMs)),
  };
}
