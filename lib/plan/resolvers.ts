import type { Awaitable } from '../core/awaitable.js';
import { configError } from '../core/errors.js';
import type { ResolverClass } from './options.js';

/** Finds the instance of a class for a request, for the limit at `source`. */
export type ProviderResolver<Context> = <Resolver>(
  type: ResolverClass<Resolver>,
  source: string,
) => (context: Context) => Awaitable<Resolver>;

/** What no call without `new` gets anything from. */
const isClass = (rule: (...given: never[]) => unknown): boolean =>
  /^class\b/.test(Function.prototype.toString.call(rule));

/**
 * Whether a rule is a class whose instances have a method, rather than a function. Of an abstract class and
 * of one whose method is a property, the prototype does not tell.
 */
export const isResolverClass = <Resolver>(
  rule: unknown,
  method: keyof Resolver,
): rule is ResolverClass<Resolver> =>
  typeof rule === 'function' &&
  (typeof (rule.prototype as Partial<Resolver> | undefined)?.[method] === 'function' ||
    isClass(rule as () => unknown));

/** Without Nest nobody makes instances. */
export const rejectResolvers: ProviderResolver<unknown> = (type) => {
  throw configError(
    'bad-option',
    `${type.name} is a class that Nest would make, and there is no Nest here.`,
    'Give a function, or use RateLimitModule.',
  );
};
