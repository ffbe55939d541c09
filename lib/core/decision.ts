import type { Policy } from './policy.js';

/** The units that a request takes from one bucket. */
export interface Charge {
  /** The policy under which it is charged. */
  readonly policy: Policy;
  /** The identity that is charged, as `kind:value`. */
  readonly identity: string;
  /** Units, a whole number of 0 or more. */
  readonly cost: number;
  /** True when the limit only reports: its denial rejects no request, and clients do not see it. */
  readonly shadow: boolean;
  /**
   * The milliseconds for which the bucket is blocked after a denial by this charge's own limit: at the first
   * offense, the second, and so on; the last holds for all later ones. None is shorter than the one before.
   * Empty for no block.
   */
  readonly blockDurationsMs: readonly number[];
}

/** The decision of one limit on a request. */
export interface Decision {
  /** The limit's name, as clients see it. */
  readonly name: string;
  /**
   * True when this limit lets the request pass. A limit that denies, unless it is a shadow limit, rejects the
   * request.
   */
  readonly allowed: boolean;
  /** Units that the limit admits at the same time: the burst of a token bucket, otherwise the limit. */
  readonly limit: number;
  /** Units left: after this request when it was charged, otherwise those that are left now, as in a `peek`. */
  readonly remaining: number;
  /** Units that count against the limit: with this request when it was charged. */
  readonly used: number;
  /** Milliseconds until the bucket is full again; 0 when nothing is charged to it. */
  readonly resetAfterMs: number;
  /**
   * 0 when allowed, otherwise the milliseconds after which the same request passes; null when it never will.
   */
  readonly retryAfterMs: number | null;
  /** The milliseconds for which a block still denies everything; 0 when none does. */
  readonly blockedForMs: number;
  /** True when this denial has started the block. */
  readonly startsBlock: boolean;
  /** The charge that was decided. */
  readonly charge: Charge;
  /** The time of the decision, in epoch milliseconds of the store's clock. */
  readonly atMs: number;
  /** The store's receipt, which it needs to refund the charge; null when nothing was charged. */
  readonly receipt: unknown;
}

/** Returns true if a decision rejects the request. */
export const isDenial = ({ allowed, charge }: Decision): boolean => !allowed && !charge.shadow;

/** Returns true if a shadow limit would have rejected the request. */
export const isShadowDenial = ({ allowed, charge }: Decision): boolean => !allowed && charge.shadow;

/** The decisions of all limits on a request, together. */
export interface Outcome {
  /** True when the request is admitted. */
  readonly allowed: boolean;
  /** True when no limit applied: the request was exempt, skipped or unlimited, or limits are switched off. */
  readonly skipped: boolean;
  /** True when it was decided without the shared store. */
  readonly degraded: boolean;
  /**
   * The decision that clients see: among denials the one with the longest wait, otherwise the one with the
   * fewest units remaining; null when no limit applied, or only shadow limits.
   */
  readonly decidedBy: Decision | null;
  /** The decision of every limit, from outer to inner. */
  readonly decisions: readonly Decision[];
  /** 0 when allowed, otherwise the milliseconds to wait; null when no wait helps. */
  readonly retryAfterMs: number | null;
}

/**
 * The usage of a bucket, as a store finds it for a charge that is denied, and leaves it after one that is
 * admitted.
 */
export interface BucketUsage extends Pick<Decision, 'used' | 'startsBlock' | 'atMs' | 'receipt'> {
  /** Milliseconds until no unit counts against the capacity. */
  readonly resetMs: number;
  /**
   * The milliseconds that the charge has to wait: 0 when it is admitted, `Infinity` when it never will be.
   */
  readonly waitMs: number;
  /** The milliseconds for which the bucket or its identity is still blocked; 0 or less when it is not. */
  readonly blockedMs: number;
}

/**
 * Returns the decision on a charge. A blocked bucket has nothing remaining, and is not full again before the
 * block ends.
 */
export function toDecision(charge: Charge, usage: BucketUsage): Decision {
  const { policy } = charge;
  const { waitMs, blockedMs, startsBlock, atMs, receipt } = usage;
  const deniesAll = policy.limit === 0;
  const remaining = deniesAll || blockedMs > 0 ? 0 : policy.capacity - usage.used;
  return {
    name: policy.name,
    allowed: waitMs === 0,
    limit: policy.capacity,
    remaining: Math.max(0, remaining),
    used: usage.used,
    resetAfterMs: deniesAll ? 0 : Math.max(usage.resetMs, blockedMs),
    retryAfterMs: waitMs === Number.POSITIVE_INFINITY ? null : waitMs,
    blockedForMs: Math.max(0, blockedMs),
    startsBlock,
    charge,
    atMs,
    receipt,
  };
}

const waitOf = (decision: Decision): number => decision.retryAfterMs ?? Number.POSITIVE_INFINITY;

/** Returns true if `a` is the decision to show to the client, rather than `b`. */
function ranksBefore(a: Decision, b: Decision): boolean {
  if (a.allowed !== b.allowed) return !a.allowed;
  if (!a.allowed) return waitOf(a) > waitOf(b);
  if (a.remaining !== b.remaining) return a.remaining < b.remaining;
  return a.resetAfterMs > b.resetAfterMs;
}

/** Returns the outcome of decisions. */
export function toOutcome(decisions: readonly Decision[], degraded: boolean): Outcome {
  let decidedBy: Decision | null = null;
  for (const decision of decisions) {
    if (decision.charge.shadow) continue;
    if (decidedBy === null || ranksBefore(decision, decidedBy)) decidedBy = decision;
  }
  return {
    allowed: decidedBy === null || decidedBy.allowed,
    skipped: decisions.length === 0 && !degraded,
    degraded,
    decidedBy,
    decisions,
    retryAfterMs: decidedBy === null ? 0 : decidedBy.retryAfterMs,
  };
}

/** The outcome of a request that no limit applied to. */
export const SKIPPED_OUTCOME: Outcome = Object.freeze(toOutcome(Object.freeze([]), false));

/** Returns a decision as it is once its charge has been refunded. */
export function withoutCharge(decision: Decision): Decision {
  if (decision.receipt === null) return decision;
  const remaining = Math.min(decision.limit, decision.remaining + decision.charge.cost);
  const resetAfterMs = remaining === decision.limit ? 0 : decision.resetAfterMs;
  const used = Math.max(0, decision.used - decision.charge.cost);
  return { ...decision, remaining, used, resetAfterMs, receipt: null };
}
