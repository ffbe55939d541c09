import type { State } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import { type Charge, type Decision, decisionOf } from '../../core/decision.js';
import type { Bucket } from './bucket.js';

/** The decision on a charge to a bucket of this state. */
export function decide(
  charge: Charge,
  state: State,
  waitMs: number,
  blockedMs: number,
  startsBlock: boolean,
  atMs: number,
  receipt: Bucket | null,
): Decision {
  const { policy } = charge;
  const algorithm = ALGORITHMS[policy.algorithm];
  const used = policy.limit === 0 ? 0 : algorithm.used(state, policy, atMs);
  const resetMs = policy.limit === 0 ? 0 : algorithm.resetMs(state, policy, atMs);
  return decisionOf(charge, { used, resetMs, waitMs, blockedMs, startsBlock, atMs, receipt });
}
