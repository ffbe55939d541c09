import { mistake } from '../core/errors.js';
import { andThen, type Later, rescued } from '../core/later.js';
import type { Policy } from '../core/policy.js';
import { shown } from '../core/shown.js';
import type { CostFunction } from './options.js';
import { type Report, reportFor } from './report.js';

/** What a request costs: a number of units, or a function that finds it. */
export type Cost<Context> = number | ((context: Context) => Later<number>);

const isCost = (cost: unknown): cost is number => Number.isSafeInteger(cost) && (cost as number) >= 0;

/** The cost, or 1 for what is none, which is reported. */
export function costOr1(cost: unknown, place: string, report: Report): number {
  if (isCost(cost)) return cost;
  report(place, 'What is no cost counts as 1. Give a whole number, 0 or more.', cost);
  return 1;
}

/**
 * Compiles the cost of the limit at `place`. A function's answer that is no cost is reported and
 * counts as 1.
 *
 * @throws RateLimitConfigError `bad-cost` for a number that cannot be charged.
 */
export function compileCost<Context>(
  cost: number | CostFunction<Context> | undefined,
  place: string,
  report: Report,
): Cost<Context> {
  if (cost === undefined) return 1;
  if (typeof cost !== 'function') {
    if (isCost(cost)) return cost;
    throw mistake(
      'bad-cost',
      `A cost of ${shown(cost)} cannot be charged.`,
      'Give a whole number, 0 or more.',
    );
  }
  return rescued(
    (context) => andThen(cost(context), (answer) => costOr1(answer, place, reportFor(context, report))),
    (error, context) => {
      reportFor(context, report)(place, 'The cost function failed, which counts as 1.', error);
      return 1;
    },
  );
}

/** Throws `bad-burst` when every request would be denied for costing more than the burst. */
export function checkFits(cost: Cost<never>, policy: Policy | null): void {
  if (policy === null || typeof cost !== 'number') return;
  if (policy.algorithm !== 'token-bucket' || policy.limit === 0 || cost <= policy.capacity) return;
  throw mistake(
    'bad-burst',
    `A cost of ${cost} never fits into a burst of ${policy.capacity}.`,
    `Raise the burst to ${cost} or more, or lower the cost.`,
  );
}
