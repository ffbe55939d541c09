import { type State, UNTOUCHED } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import type { Policy } from '../../core/policy.js';

/** What one identity has charged to one limit. */
export class Bucket {
  state: State = UNTOUCHED;
  /** Denies until then; 0 when it was never blocked. */
  blockedUntilMs = 0;
  /** Where it stands among the buckets by their ends; below 0 while it does not. */
  placeAmongEnds = -1;

  constructor(
    /** The policy it was last charged under: its limit may change while the bucket lives. */
    public policy: Policy,
    readonly identity: string,
  ) {}

  /** Brings it to `nowMs` under the policy of a charge; a limit of 0 decides without a look at it. */
  underPolicy(policy: Policy, nowMs: number): void {
    if (policy.limit === 0) return;
    this.policy = policy;
    this.settle(nowMs);
  }

  settle(nowMs: number): void {
    this.state = ALGORITHMS[this.policy.algorithm].settle(this.state, this.policy, nowMs);
  }

  /** When nothing is left to remember. */
  endsAtMs(nowMs: number): number {
    const fullAtMs = nowMs + ALGORITHMS[this.policy.algorithm].resetMs(this.state, this.policy, nowMs);
    return Math.max(fullAtMs, this.blockedUntilMs);
  }

  /** How much of its capacity is used, from 0 to 1. */
  share(nowMs: number): number {
    return ALGORITHMS[this.policy.algorithm].used(this.state, this.policy, nowMs) / this.policy.capacity;
  }
}
