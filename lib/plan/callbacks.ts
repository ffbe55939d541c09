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

function reportProblem<Args extends readonly unknown[]>(
  { source, report }: CallbackRules<Args, unknown>,
  message: string,
  detail: unknown,
  args: Args,
): void {
  report(typeof source === 'string' ? source : source(...args), message, detail);
}

function fall<Args extends readonly unknown[], Result>(
  rules: CallbackRules<Args, Result>,
  message: string,
  detail: unknown,
  args: Args,
): Result {
  reportProblem(rules, message, detail, args);
  return rules.fallback(...args);
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
    let value: unknown;
    try {
      value = await call(...args);
      const result = rules.check(value, ...args);
      if (result !== INVALID) return result;
    } catch (error) {
      return fall(rules, rules.failed, error, args);
    }
    return fall(rules, rules.invalid ?? rules.failed, value, args);
  };

/** Does the same for a function that must be synchronous: a promise counts as invalid. */
export const syncCallback =
  <Args extends readonly unknown[], Result>(
    call: (...args: Args) => unknown,
    rules: CallbackRules<Args, Result>,
  ): ((...args: Args) => Result) =>
  (...args) => {
    let value: unknown;
    try {
      value = call(...args);
      const result = isPromise(value) ? INVALID : rules.check(value, ...args);
      if (result !== INVALID) return result;
    } catch (error) {
      return fall(rules, rules.failed, error, args);
    }
    const message = rules.invalid ?? rules.failed;
    if (!isPromise(value)) return fall(rules, message, value, args);
    // Nobody else waits for it, and an unhandled rejection would end the process.
    Promise.resolve(value).catch((error: unknown) => reportProblem(rules, rules.failed, error, args));
    return fall(rules, message, undefined, args);
  };

/** Calls a function once for each context, however many limits share it. */
export function oncePerContext<Context extends object, Result>(
  call: (context: Context) => Result,
): (context: Context) => Result {
  const results = new WeakMap<Context, { readonly result: Result }>();
  return (context) => {
    let called = results.get(context);
    if (called === undefined) {
      called = { result: call(context) };
      results.set(context, called);
    }
    return called.result;
  };
}
