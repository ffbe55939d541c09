import type { ExecutionContext } from '@nestjs/common';
import {
  type Charge,
  type Decision,
  type Outcome,
  SKIPPED_OUTCOME,
  toOutcome,
  withoutCharge,
} from '../../core/decision.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import type { Policy } from '../../core/policy.js';
import type { IdentityFormat } from '../../identity/key-forms.js';
import type { Limit } from '../../plan/limit.js';
import type { Phase, Plan } from '../../plan/plan.js';
import type { RateLimitContext, TransportReader } from '../context/call-context.js';
import type { AccessLists } from './access-lists.js';
import { DeferredRefunds, type Refund } from './deferred-refunds.js';

export type RouteLimit = Limit<RateLimitContext>;
export type RoutePhase = Phase<RateLimitContext>;
export type RoutePlan = Plan<RateLimitContext>;

/** The module's options that a request needs, compiled. */
export interface RequestSettings {
  readonly enabled: boolean;
  /** By transport; a call over any other one passes. */
  readonly readers: Readonly<Record<string, TransportReader | undefined>>;
  /** Null without `allow` and `deny`. */
  readonly lists: AccessLists | null;
  /** Null without `exempt`. */
  readonly exempt: ((context: RateLimitContext) => Promise<boolean>) | null;
  readonly identityFormat: IdentityFormat;
  readonly report: ErrorReporter;
}

/** The plans of an application. */
export interface Plans {
  /** By class and handler; null where no limit applies. */
  readonly byClass: ReadonlyMap<unknown, ReadonlyMap<unknown, RoutePlan | null>>;
  /** Compiles the plan of a handler that was unknown at start-up. */
  compileLate(execution: ExecutionContext): RoutePlan | null;
}

/** Returns the charges of a call under limits that ask no function of the application. */
export function staticCharges(limits: readonly RouteLimit[], context: RateLimitContext): readonly Charge[] {
  const charges: Charge[] = [];
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i] as RouteLimit;
    if (limit.methods !== null && !limit.methods.has(context.method ?? '')) continue;
    const { rate } = limit;
    const policy = rate.kind === 'fixed' ? rate.policy : (rate.policyFor(context) as Policy | null);
    if (policy === null) continue;
    const identity = limit.identify(context) as string | null;
    if (identity === null) continue;
    const { shadow, blockDurationsMs } = limit;
    charges.push({ policy, identity, cost: limit.cost as number, shadow, blockDurationsMs });
  }
  return charges;
}

/** One call on its way through the phases of its plan. */
export class RequestCheck {
  /** The outcome of all phases so far. */
  outcome: Outcome = SKIPPED_OUTCOME;
  /** Time that the decisions took; 0 unless a subscriber measures. */
  durationMs = 0;
  /** True once the last phase is decided. */
  isComplete = false;
  /** True once subscribers know of it, or must not. */
  isPublished = false;
  #first: Outcome | null = null;
  #refunds: DeferredRefunds | null = null;

  constructor(
    readonly plan: RoutePlan,
    public context: RateLimitContext,
  ) {}

  /** Adds the outcome of a phase. If the second phase denies, the charges of the first count as given back. */
  add(outcome: Outcome): void {
    if (this.#first === null) {
      this.#first = outcome;
      this.outcome = outcome;
      return;
    }
    const { decisions, degraded } = this.#first;
    const before = outcome.allowed ? decisions : decisions.map(withoutCharge);
    this.outcome = toOutcome([...before, ...outcome.decisions], degraded || outcome.degraded);
  }

  /** Asks `countWhen` about the charges of a phase when the call has ended. */
  deferRefunds(outcome: Outcome, refund: Refund): void {
    const { refundable } = this.plan;
    if (refundable === null) return;
    this.#refunds ??= DeferredRefunds.start(refundable, this.context, refund);
    this.#refunds.add(outcome.decisions);
  }

  /** Returns the charges of the first phase that nobody has given back. `countWhen` is not asked about them any more. */
  cancelFirst(): readonly Decision[] {
    const charged = (this.#first ?? SKIPPED_OUTCOME).decisions.filter(({ receipt }) => receipt !== null);
    return this.#refunds === null ? charged : this.#refunds.cancel(charged);
  }
}
