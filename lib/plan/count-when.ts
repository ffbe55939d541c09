import { andThen, attempt, type Later } from '../core/later.js';
import type { CallResult, CountFunction } from './options.js';
import { type Report, reportFor } from './report.js';

/** Whether a call that was charged counts. */
export type Counts<Context> = (context: Context, result: CallResult) => Later<boolean>;

/** Compiles `countWhen` of the limit at `place`: where it fails, the call counts; null when every call does. */
export function compileCountWhen<Context>(
  countWhen: CountFunction<Context> | undefined,
  place: string,
  report: Report,
): Counts<Context> | null {
  if (countWhen === undefined) return null;
  return (context, result) => {
    const heard = reportFor(context, report);
    const toBoolean = (answer: unknown): boolean => {
      if (typeof answer === 'boolean') return answer;
      heard(place, 'The countWhen function gave no boolean, so the charge stays.', answer);
      return true;
    };
    return attempt(
      () => andThen(countWhen(context, result), toBoolean),
      (error) => {
        heard(place, 'The countWhen function failed, so the charge stays.', error);
        return true;
      },
    );
  };
}
