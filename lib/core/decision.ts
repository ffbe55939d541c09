import type { Policy } from './policy.js';

/** What a request asks of one bucket. */
export interface Charge {
  /** The limit that the charge is made under. */
  readonly policy: Policy;
  /** Who is charged, as `kind:value`. */
  readonly identity: string;
  /** Units: a whole number, 0 or more. */
  readonly cost: number;
  /** Decides and reports, but never denies and never binds. */
  readonly shadow: boolean;
  /**
   * How long the bucket is blocked after a denial by this charge's own limit: the first time, the second,
   * and so on, the last for all after it; in milliseconds, none shorter than the one before; empty for not at all.
   */
  readonly blockDurationsMs: readonly number[];
}

/** One limit's verdict on a request. */
export interface Decision {
  /** The limit's name, as clients see it. */
  readonly name: string;
  /** Whether this limit lets the request pass; one that denies, and is no shadow, turns it away. */
  readonly allowed: boolean;
  /** Units that the limit admits at once: its burst with a token bucket. */
  readonly limit: number;
  /** Units left: after this request when it was admitted, else those that stand uncharged. */
  readonly remaining: number;
  /** Units that count against the limit: after this request when it was admitted. */
  readonly used: number;
  /** Milliseconds until the bucket is full again; 0 when nothing is charged to it. */
  readonly resetAfterMs: number;
  /** 0 when allowed, else the milliseconds after which the same request passes; null when no wait helps. */
  readonly retryAfterMs: number | null;
  /** For how many milliseconds a block denies everything; 0 when none does. */
  readonly blockedForMs: number;
  /** Whether this denial has started that block. */
  readonly startsBlock: boolean;
  /** What was asked. */
  readonly charge: Charge;
  /** When it was decided, in epoch milliseconds of the store's clock. */
  readonly atMs: number;
  /** What the store needs to give the charge back; null when nothing was charged. */
  readonly receipt: unknown;
}

/** Whether a decision turns the request away. */
export const isDenial = ({ allowed, charge }: Decision): boolean => !allowed && !charge.shadow;

/** What became of a request under all its limits. */
export interface Outcome {
  /** Whether the request may go on. */
  readonly allowed: boolean;
  /** Whether no limit applied to it: exempt, skipped, unlimited or switched off. */
  readonly skipped: boolean;
  /** Whether the shared store took no part in it. */
  readonly degraded: boolean;
  /**
   * The decision that clients hear of: of the denying ones the longest wait, else the one with the
   * fewest units remaining; null when no limit applied, or shadow limits alone.
   */
  readonly decidedBy: Decision | null;
  /** Every limit's decision, from outer to inner. */
  readonly decisions: readonly Decision[];
  /** 0 when allowed, else the milliseconds to wait; null when no wait helps. */
  readonly retryAfterMs: number | null;
}

/** A bucket as a store has found it, or left it, for a charge. */
export interface BucketUsage {
  /** Units that count against its capacity. */
  readonly used: number;
  /** Milliseconds until none of them does. */
  readonly resetMs: number;
  /** How long the charge has to wait: 0 when it is admitted, `Infinity` for ever. */
  readonly waitMs: number;
  /** How long the bucket or its identity is still blocked; 0 or less when it is not. */
  readonly blockedMs: number;
  /** Whether the charge has started a block. */
  readonly startsBlock: boolean;
  readonly atMs: number;
  readonly receipt: unknown;
}

/** The verdict on a charge. Nothing remains of a blocked bucket, which is full again no sooner than that ends. */
export function toDecision(charge: Charge, usage: BucketUsage): Decision {
  const { policy } = charge;
  const { waitMs, blockedMs, startsBlock, atMs, receipt } = usage;
  const nothing = policy.limit === 0;
  const left = nothing || blockedMs > 0 ? 0 : policy.capacity - usage.used;
  return {
    name: policy.name,
    allowed: waitMs === 0,
    limit: policy.capacity,
    remaining: Math.max(0, left),
    used: usage.used,
    resetAfterMs: nothing ? 0 : Math.max(usage.resetMs, blockedMs),
    retryAfterMs: waitMs === Number.POSITIVE_INFINITY ? null : waitMs,
    blockedForMs: Math.max(0, blockedMs),
    startsBlock,
    charge,
    atMs,
    receipt,
  };
}

const waitOf = (decision: Decision): number => decision.retryAfterMs ?? Number.POSITIVE_INFINITY;

/** Whether `a` says more to the client than `b`. */
function ranksBefore(a: Decision, b: Decision): boolean {
  if (a.allowed !== b.allowed) return !a.allowed;
  if (!a.allowed) return waitOf(a) > waitOf(b);
  if (a.remaining !== b.remaining) return a.remaining < b.remaining;
  return a.resetAfterMs > b.resetAfterMs;
}

function findDeciding(decisions: readonly Decision[]): Decision | null {
  let deciding: Decision | null = null;
  for (const decision of decisions) {
    if (decision.charge.shadow) continue;
    if (deciding === null || ranksBefore(decision, deciding)) deciding = decision;
  }
  return deciding;
}

/** The outcome that decisions add up to. */
export function toOutcome(decisions: readonly Decision[], degraded: boolean): Outcome {
  const decidedBy = findDeciding(decisions);
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

/** A decision as it stands once its charge has been given back. */
export function withoutCharge(decision: Decision): Decision {
  if (decision.receipt === null) return decision;
  const remaining = Math.min(decision.limit, decision.remaining + decision.charge.cost);
  const resetAfterMs = remaining === decision.limit ? 0 : decision.resetAfterMs;
  const used = Math.max(0, decision.used - decision.charge.cost);
  return { ...decision, remaining, used, resetAfterMs, receipt: null };
}
