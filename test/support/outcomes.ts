import type { Charge, Decision, Outcome } from 'nestjs-ratelimit';
import { type BucketUsage, toDecision, toOutcome } from '../../lib/core/decision.js';
import { type ChargeOptions, chargeOf } from './charges.js';

/** A decision on a charge, which it admits unless it is said to deny. */
export interface DecidedOptions extends ChargeOptions {
  readonly denies?: boolean;
}

const FOUND: BucketUsage = {
  used: 1,
  resetMs: 1,
  waitMs: 0,
  blockedMs: 0,
  atMs: 0,
  receipt: null,
  startsBlock: false,
};

/** A decision on a charge, which finds nothing in its way unless something is said. */
export const decidedOn = (charge: Charge, found: Partial<BucketUsage> = {}): Decision =>
  toDecision(charge, { ...FOUND, ...found });

/** The outcome of a request under some limits. */
export const outcomeUnder = (limits: readonly DecidedOptions[], degraded = false): Outcome =>
  toOutcome(
    limits.map(({ denies = false, ...options }) => decidedOn(chargeOf(options), { waitMs: denies ? 1 : 0 })),
    degraded,
  );

export const ALLOWED = outcomeUnder([{}]);
export const DENIED = outcomeUnder([{ denies: true }]);
