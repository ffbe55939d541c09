import { type State, UNTOUCHED } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import type { Policy } from '../../core/policy.js';

/** What one identity has charged to one limit. */
export class Bucket {
  state: State = UNTOUCHED;
  /** Denies until then; 0 when it was never blocked. */
  blockedUntilMs = 0;
  /** How often it was blocked under a limit whose blocks grow, and until when that is remembered. */
  #strikes: { readonly count: number; readonly endMs: number } | null = null;
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

  /** How long the next block of these lengths is. */
  nextBlockMs(lengths: readonly number[], nowMs: number): number {
    return lengths[Math.min(this.#strikesAt(nowMs), lengths.length - 1)] as number;
  }

  /** Remembers a block of `lengthMs`: until none has been for as long as the longest. */
  strike(lengths: readonly number[], lengthMs: number, nowMs: number): void {
    if (lengths.length < 2) return;
    const longestMs = lengths[lengths.length - 1] as number;
    this.#strikes = { count: this.#strikesAt(nowMs) + 1, endMs: nowMs + lengthMs + longestMs };
  }

  /** Forgets its block, and those before. */
  unblock(): void {
    this.blockedUntilMs = 0;
    this.#strikes = null;
  }

  #strikesAt(nowMs: number): number {
    return this.#strikes !== null && nowMs < this.#strikes.endMs ? this.#strikes.count : 0;
  }

  /** When nothing is left to remember. */
  endsAtMs(nowMs: number): number {
    const fullAtMs = nowMs + ALGORITHMS[this.policy.algorithm].resetMs(this.state, this.policy, nowMs);
    return Math.max(fullAtMs, this.blockedUntilMs, this.#strikes?.endMs ?? 0);
  }

  /** How much of its capacity is used, from 0 to 1. */
  share(nowMs: number): number {
    return ALGORITHMS[this.policy.algorithm].used(this.state, this.policy, nowMs) / this.policy.capacity;
  }
}
