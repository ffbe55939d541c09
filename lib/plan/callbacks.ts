import { isPromise } from '../core/awaitable.js';
import type { ErrorReporter } from '../core/error-reporter.js';

/** A check returns it for a value that the library cannot use. */
export const INVALID: unique symbol = Symbol('invalid');

/** Rules for calling a function of the application. */
export interface CallbackRules<Args extends readonly unknown[], Result> {
  /** Names the function's place in reports, such as `AuthController.login`. */
  readonly source: string | ((...args: Args) => string);
  readonly report: ErrorReporter;
  /** Reported when the function throws or rejects. */
  readonly failed: string;
  /** Reported when it returns what `check` does not accept. Default: as when it fails. */
  readonly invalid?: string;
  /** Turns the returned value into a result, or returns {@link INVALID}. It may throw, which counts as a failure. */
  check(value: unknown, ...args: Args): Result | typeof INVALID;
  /** Returns the result to go on with after a failure. */
  fallback(...args: Args): Result;
}

/** A value that `check` does not accept; undefined for a promise, which a report would not describe. */
class InvalidValue {
  constructor(readonly value?: unknown) {}
}

function checked<Args extends readonly unknown[], Result>(
  rules: CallbackRules<Args, Result>,
  value: unknown,
  args: Args,
): Result {
  const result = rules.check(value, ...args);
  if (result === INVALID) throw new InvalidValue(value);
  return result;
}

function reportFailure<Args extends readonly unknown[]>(
  { source, report, failed, invalid = failed }: CallbackRules<Args, unknown>,
  error: unknown,
  args: Args,
): void {
  const place = typeof source === 'string' ? source : source(...args);
  if (error instanceof InvalidValue) report(place, invalid, error.value);
  else report(place, failed, error);
}

/**
 * Makes a function of the application safe to call: checks what it returns, reports what goes wrong, and falls back
 * to a default. The result never rejects, unless `fallback` throws.
 */
export const callback =
  <Args extends readonly unknown[], Result>(
    call: (...args: Args) => unknown,
    rules: CallbackRules<Args, Result>,
  ): ((...args: Args) => Promise<Result>) =>
  async (...args) => {
    try {
      return checked(rules, await call(...args), args);
    } catch (error) {
      reportFailure(rules, error, args);
      return rules.fallback(...args);
    }
  };

/** Does the same for a function that must be synchronous: a promise counts as invalid. */
export const syncCallback =
  <Args extends readonly unknown[], Result>(
    call: (...args: Args) => unknown,
    rules: CallbackRules<Args, Result>,
  ): ((...args: Args) => Result) =>
  (...args) => {
    try {
      const value = call(...args);
      if (!isPromise(value)) return checked(rules, value, args);
      // Nobody else waits for it, and an unhandled rejection would end the process.
      Promise.resolve(value).catch((error: unknown) => reportFailure(rules, error, args));
      throw new InvalidValue();
    } catch (error) {
      reportFailure(rules, error, args);
      return rules.fallback(...args);
    }
  };

/** Calls a function once for each context, however many limits share it. */
export function oncePerContext<Context extends object, Result>(
  call: (context: Context) => Result,
): (context: Context) => Result {
  const results = new WeakMap<Context, Result>();
  return (context) => {
    if (!results.has(context)) results.set(context, call(context));
    return results.get(context) as Result;
  };
}
