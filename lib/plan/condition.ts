import { METHODS } from 'node:http';
import { type Awaitable, andThen, rescued } from '../core/awaitable.js';
import { type ErrorReporter, reportFor } from '../core/error-reporter.js';
import { configError, describeValue } from '../core/errors.js';
import type { Caller } from '../identity/caller.js';
import type { ConditionFunction, ConditionOptions } from './options.js';

/** Whether a limit applies to a request. */
export type Condition<Context> = (context: Context) => Awaitable<boolean>;

/** The methods that a limit is for. HEAD counts as GET. */
function methodCondition(methods: readonly string[]): Condition<Caller> {
  const unknown = methods.filter((method) => !METHODS.includes(method));
  if (unknown.length > 0) {
    throw configError(
      'bad-option',
      `methods cannot hold ${describeValue(unknown[0])}.`,
      `Give a list of methods in capital letters, such as ['POST', 'PUT'].`,
    );
  }
  if (methods.length === 0) {
    throw configError(
      'bad-option',
      'methods is empty, so the limit would never apply.',
      'Name the methods, or leave it out: the limit then applies to all of them.',
    );
  }
  const all = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
  return ({ method }) => method !== undefined && all.has(method);
}

/** A function of the application: the limit applies where it fails, so that a mistake frees nobody. */
function functionCondition<Context>(
  name: 'when' | 'skipIf',
  applies: ConditionFunction<Context>,
  source: string,
  report: ErrorReporter,
): Condition<Context> {
  return rescued(
    (context) =>
      andThen(applies(context), (answer) => (name === 'when' ? answer !== false : answer !== true)),
    (error, context) => {
      reportFor(context, report)(source, `The ${name} function failed, so the limit applies.`, error);
      return true;
    },
  );
}

/**
 * Compiles what a limit says of the requests that it applies to; null when it applies to all.
 *
 * @throws RateLimitConfigError `bad-option`.
 */
export function compileCondition<Context extends Caller>(
  { methods, when, skipIf }: ConditionOptions<Context>,
  source: string,
  report: ErrorReporter,
): Condition<Context> | null {
  const all: Condition<Context>[] = [];
  if (methods !== undefined) all.push(methodCondition(methods));
  if (when !== undefined) all.push(functionCondition('when', when, source, report));
  if (skipIf !== undefined) all.push(functionCondition('skipIf', skipIf, source, report));
  const [first, ...others] = all;
  if (first === undefined) return null;
  return others.reduce<Condition<Context>>(
    (before, next) => (context) => andThen(before(context), (applies) => applies && next(context)),
    first,
  );
}
