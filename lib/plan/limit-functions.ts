import { METHODS } from 'node:http';
import type { Awaitable } from '../core/awaitable.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import { configError, describeValue } from '../core/errors.js';
import type { Caller } from '../identity/caller.js';
import type { IdentityHashing } from '../identity/hash.js';
import { compileKey, type Key } from '../identity/key.js';
import { addressIdentity, formatIdentity } from '../identity/key-forms.js';
import { callback, INVALID } from './callbacks.js';
import type {
  AnyLimitOptions,
  CallResult,
  ConditionFunction,
  CostFunction,
  CountFunction,
  KeyFunction,
  KeyResolver,
  KeyRule,
} from './options.js';
import { isResolverClass, type ProviderResolver } from './resolvers.js';

/** A compiled key rule: finds who is charged, or null to skip the limit. */
export interface CompiledKey<Context> {
  readonly readsUser: boolean;
  /** Empty for a function. */
  readonly forms: Key['forms'];
  /** Synchronous for a key of text. */
  readonly identify: (context: Context) => Awaitable<string | null>;
}

/** Settings of the module that a key is compiled with. */
export interface KeyRuleCompilation<Context> extends IdentityHashing {
  readonly report: ErrorReporter;
  readonly resolve: ProviderResolver<Context>;
}

/**
 * Compiles the key of the limit at `source`. Where a function fails, the caller's address is charged.
 *
 * @throws RateLimitConfigError `bad-key` for anything that is not a key.
 */
export function compileKeyRule<Context extends Caller>(
  key: KeyRule<Context>,
  source: string,
  { hash, isKeyed, report, resolve }: KeyRuleCompilation<Context>,
): CompiledKey<Context> {
  if (typeof key === 'string')
    return compileKey(key, { hash, isKeyed, report: (message) => report(source, message) });
  if (typeof key !== 'function') {
    throw configError(
      'bad-key',
      `${describeValue(key)} is not a key.`,
      `Give a text such as 'user|ip', or a function of the context.`,
    );
  }
  let find = key as (context: Context) => unknown;
  if (isResolverClass<KeyResolver<Context>>(key, 'resolveKey')) {
    const instanceFor = resolve(key, source);
    find = async (context) => (await instanceFor(context)).resolveKey(context);
  }
  const address = (context: Context): string =>
    addressIdentity(context, (message) => report(source, message));
  const identify = callback(find as KeyFunction<Context>, {
    source,
    report,
    failed: `The key function failed, so the caller's address is charged.`,
    invalid: `The key function returned no identity, so the caller's address is charged.`,
    check(identity, context): string | null | typeof INVALID {
      if (identity === null) return null;
      if (identity === undefined) return address(context);
      return typeof identity === 'string' && identity !== ''
        ? formatIdentity('key', identity, hash)
        : INVALID;
    },
    fallback: address,
  });
  return { readsUser: false, forms: [], identify };
}

/** A number of units, or a function that finds it. */
export type Cost<Context> = number | ((context: Context) => Promise<number>);

const isCost = (cost: unknown): cost is number => Number.isSafeInteger(cost) && (cost as number) >= 0;

const INVALID_COST = 'The cost is not a whole number of 0 or more, so it counts as 1.';

/** Returns the cost, or reports an invalid one and returns 1. */
export function validCostOrOne(cost: unknown, source: string, report: ErrorReporter): number {
  if (isCost(cost)) return cost;
  report(source, INVALID_COST, cost);
  return 1;
}

/**
 * Compiles the cost of the limit at `source`. Where a function fails, the request costs 1.
 *
 * @throws RateLimitConfigError `bad-cost` for a number that cannot be charged.
 */
export function compileCost<Context>(
  cost: number | CostFunction<Context> | undefined,
  source: string,
  report: ErrorReporter,
): Cost<Context> {
  if (cost === undefined) return 1;
  if (typeof cost === 'function') {
    return callback(cost, {
      source,
      report,
      failed: 'The cost function failed, so the request costs 1.',
      invalid: INVALID_COST,
      check: (units) => (isCost(units) ? units : INVALID),
      fallback: () => 1,
    });
  }
  if (isCost(cost)) return cost;
  throw configError(
    'bad-cost',
    `A cost of ${describeValue(cost)} cannot be charged.`,
    'Give a whole number, 0 or more.',
  );
}

/**
 * Compiles the methods that a limit applies to; null for all. GET includes HEAD.
 *
 * @throws RateLimitConfigError `bad-option`.
 */
export function compileMethods(methods: readonly string[] | undefined): ReadonlySet<string> | null {
  if (methods === undefined) return null;
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
  return new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
}

/** Returns true if a limit applies to a request. */
export type Condition<Context> = (context: Context) => Promise<boolean>;

/** Compiles `when` and `skipIf`; null without either. Where one fails, the limit applies, so that an error frees nobody. */
export function compileCondition<Context>(
  { when, skipIf }: Pick<AnyLimitOptions<Context>, 'when' | 'skipIf'>,
  source: string,
  report: ErrorReporter,
): Condition<Context> | null {
  const compile = (
    name: string,
    call: ConditionFunction<Context> | undefined,
    skips: boolean,
  ): Condition<Context> | null =>
    call === undefined
      ? null
      : callback(call, {
          source,
          report,
          failed: `The ${name} function failed, so the limit applies.`,
          check: (value) => value !== skips,
          fallback: () => true,
        });
  const [applies, isNotSkipped] = [compile('when', when, false), compile('skipIf', skipIf, true)];
  if (applies === null || isNotSkipped === null) return applies ?? isNotSkipped;
  return async (context) => (await applies(context)) && isNotSkipped(context);
}

/** Returns false if a charged call does not count. */
export type CountPredicate<Context> = (context: Context, result: CallResult) => Promise<boolean>;

/** Compiles `countWhen`; null without it. Where it fails, the charge stays. */
export const compileCountWhen = <Context>(
  countWhen: CountFunction<Context> | undefined,
  source: string,
  report: ErrorReporter,
): CountPredicate<Context> | null =>
  countWhen === undefined
    ? null
    : callback(countWhen, {
        source,
        report,
        failed: 'The countWhen function failed, so the charge stays.',
        invalid: 'The countWhen function returned no boolean, so the charge stays.',
        check: (counts) => (typeof counts === 'boolean' ? counts : INVALID),
        fallback: () => true,
      });
