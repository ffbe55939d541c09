import { type Awaitable, andThen, rescued } from '../core/awaitable.js';
import { type ErrorReporter, reportFor } from '../core/error-reporter.js';
import { configError, describeValue } from '../core/errors.js';
import type { Policy } from '../core/policy.js';
import type { CostFunction } from './options.js';

/** What a request costs: a number of units, or a function that finds it. */
export type Cost<Context> = number | ((context: Context) => Awaitable<number>);

const isCost = (cost: unknown): cost is number => Number.isSafeInteger(cost) && (cost as number) >= 0;

/** The cost, or 1 for what is none, which is reported. */
export function validCostOrOne(cost: unknown, source: string, report: ErrorReporter): number {
  if (isCost(cost)) return cost;
  report(source, 'What is no cost counts as 1. Give a whole number, 0 or more.', cost);
  return 1;
}

/**
 * Compiles the cost of the limit at `source`. A function's answer that is no cost is reported and
 * counts as 1.
 *
 * @throws RateLimitConfigError `bad-cost` for a number that cannot be charged.
 */
export function compileCost<Context>(
  cost: number | CostFunction<Context> | undefined,
  source: string,
  report: ErrorReporter,
): Cost<Context> {
  if (cost === undefined) return 1;
  if (typeof cost !== 'function') {
    if (isCost(cost)) return cost;
    throw configError(
      'bad-cost',
      `A cost of ${describeValue(cost)} cannot be charged.`,
      'Give a whole number, 0 or more.',
    );
  }
  return rescued(
    (context) =>
      andThen(cost(context), (answer) => validCostOrOne(answer, source, reportFor(context, report))),
    (error, context) => {
      reportFor(context, report)(source, 'The cost function failed, which counts as 1.', error);
      return 1;
    },
  );
}

/** Throws `bad-burst` when every request would be denied for costing more than the burst. */
export function requireFittingCost(cost: Cost<never>, policy: Policy | null): void {
  if (policy === null || typeof cost !== 'number') return;
  if (policy.algorithm !== 'token-bucket' || policy.limit === 0 || cost <= policy.capacity) return;
  throw configError(
    'bad-burst',
    `A cost of ${cost} never fits into a burst of ${policy.capacity}.`,
    `Raise the burst to ${cost} or more, or lower the cost.`,
  );
}
