import { METHODS } from 'node:http';
import type { AlgorithmName } from '../core/algorithms/index.js';
import type { Awaitable } from '../core/awaitable.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import { assertConfig, describeValue } from '../core/errors.js';
import type { FailMode } from '../core/policy.js';
import type { Caller } from '../identity/caller.js';
import type { IdentityHashing } from '../identity/hash.js';
import { compileKey, type Key } from '../identity/key.js';
import { addressIdentity, formatIdentity } from '../identity/key-forms.js';
import { type CallbackRules, callback, INVALID } from './callbacks.js';
import type {
  AnyLimitOptions,
  CallResult,
  ConditionFunction,
  KeyFunction,
  KeyResolver,
  KeyRule,
  TierFunction,
} from './options.js';
import { isResolverClass, type ProviderResolver } from './resolvers.js';

/** A compiled key rule. It has no forms for a function, and is synchronous for a text. */
export interface CompiledKey<Context> extends Pick<Key, 'readsUser' | 'forms'> {
  readonly identify: (context: Context) => Awaitable<string | null>;
}

/** The module's defaults for what limits do not state themselves. */
export interface LimitDefaults<Context> extends IdentityHashing {
  readonly key: KeyRule<Context>;
  readonly algorithm?: AlgorithmName | undefined;
  readonly tier: TierFunction<Context> | undefined;
  readonly resolve: ProviderResolver<Context>;
  readonly shadow?: boolean | undefined;
  readonly failMode?: FailMode | undefined;
  readonly report: ErrorReporter;
}

/**
 * Compiles the key of the limit at `source`. Where a function fails, the client's address is charged.
 *
 * @throws RateLimitConfigError `bad-key` for anything that is not a key.
 */
export function compileKeyRule<Context extends Caller>(
  key: KeyRule<Context>,
  source: string,
  { hash, isKeyed, report, resolve }: Pick<LimitDefaults<Context>, 'hash' | 'isKeyed' | 'report' | 'resolve'>,
): CompiledKey<Context> {
  if (typeof key === 'string')
    return compileKey(key, { hash, isKeyed, report: (message) => report(source, message) });
  assertConfig(
    typeof key === 'function',
    'bad-key',
    `${describeValue(key)} is not a key.`,
    `Give a text such as 'user|ip', or a function of the context.`,
  );
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
    failed: `The key function failed, so the client's address is charged.`,
    invalid: `The key function returned no identity, so the client's address is charged.`,
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

type Options<Context> = Partial<AnyLimitOptions<Context>>;

/** The place of a function, and where its errors go. */
type CallbackPlace = Pick<CallbackRules<never, never>, 'report'> & { readonly source: string };

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
export function compileCost<Context>({ cost = 1 }: Options<Context>, place: CallbackPlace): Cost<Context> {
  if (typeof cost === 'function') {
    return callback(cost, {
      ...place,
      failed: 'The cost function failed, so the request costs 1.',
      invalid: INVALID_COST,
      check: (units) => (isCost(units) ? units : INVALID),
      fallback: () => 1,
    });
  }
  assertConfig(
    isCost(cost),
    'bad-cost',
    `A cost of ${describeValue(cost)} cannot be charged.`,
    'Give a whole number, 0 or more.',
  );
  return cost;
}

/**
 * Compiles the methods that a limit applies to; null for all. GET includes HEAD.
 *
 * @throws RateLimitConfigError `bad-option`.
 */
export function compileMethods<Context>({ methods }: Options<Context>): ReadonlySet<string> | null {
  if (methods === undefined) return null;
  const unknown = methods.filter((method) => !METHODS.includes(method));
  assertConfig(
    unknown.length === 0,
    'bad-option',
    `methods cannot hold ${describeValue(unknown[0])}.`,
    `Give a list of methods in capital letters, such as ['POST', 'PUT'].`,
  );
  assertConfig(
    methods.length > 0,
    'bad-option',
    'methods is empty, so the limit would never apply.',
    'Name the methods, or leave it out: the limit then applies to all of them.',
  );
  return new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
}

/** Returns true if a limit applies to a request. */
export type Condition<Context> = (context: Context) => Promise<boolean>;

/** Compiles `when` and `skipIf`; null without either. Where one fails, the limit applies, so that an error frees nobody. */
export function compileCondition<Context>(
  { when, skipIf }: Options<Context>,
  place: CallbackPlace,
): Condition<Context> | null {
  const compile = (name: string, call: ConditionFunction<Context>, skips: boolean): Condition<Context> =>
    callback(call, {
      ...place,
      failed: `The ${name} function failed, so the limit applies.`,
      check: (value) => value !== skips,
      fallback: () => true,
    });
  const applies = when ? compile('when', when, false) : null;
  const isNotSkipped = skipIf ? compile('skipIf', skipIf, true) : null;
  if (applies === null || isNotSkipped === null) return applies ?? isNotSkipped;
  return async (context) => (await applies(context)) && isNotSkipped(context);
}

/** Returns false if a charged call does not count. */
export type CountPredicate<Context> = (context: Context, result: CallResult) => Promise<boolean>;

/** Compiles `countWhen`; null without it. Where it fails, the charge stays. */
export const compileCountWhen = <Context>(
  { countWhen }: Options<Context>,
  place: CallbackPlace,
): CountPredicate<Context> | null =>
  countWhen === undefined
    ? null
    : callback(countWhen, {
        ...place,
        failed: 'The countWhen function failed, so the charge stays.',
        invalid: 'The countWhen function returned no boolean, so the charge stays.',
        check: (counts) => (typeof counts === 'boolean' ? counts : INVALID),
        fallback: () => true,
      });
