import { type Awaitable, andThen, attempt } from '../core/awaitable.js';
import { type ErrorReporter, reportFor } from '../core/error-reporter.js';
import type { CallResult, CountFunction } from './options.js';

/** Whether a call that was charged counts. */
export type CountPredicate<Context> = (context: Context, result: CallResult) => Awaitable<boolean>;

/** Compiles `countWhen` of the limit at `source`: where it fails, the call counts; null when every call does. */
export function compileCountWhen<Context>(
  countWhen: CountFunction<Context> | undefined,
  source: string,
  report: ErrorReporter,
): CountPredicate<Context> | null {
  if (countWhen === undefined) return null;
  return (context, result) => {
    const reporter = reportFor(context, report);
    const toBoolean = (answer: unknown): boolean => {
      if (typeof answer === 'boolean') return answer;
      reporter(source, 'The countWhen function gave no boolean, so the charge stays.', answer);
      return true;
    };
    return attempt(
      () => andThen(countWhen(context, result), toBoolean),
      (error) => {
        reporter(source, 'The countWhen function failed, so the charge stays.', error);
        return true;
      },
    );
  };
}
