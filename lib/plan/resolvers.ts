import type { Awaitable } from '../core/awaitable.js';
import { configError } from '../core/errors.js';
import type { ResolverClass } from './options.js';

/** Returns a function that finds the instance of a class for a request, for the limit at `source`. */
export type ProviderResolver<Context> = <Resolver>(
  type: ResolverClass<Resolver>,
  source: string,
) => (context: Context) => Awaitable<Resolver>;

/** Returns true for a class, which cannot be called without `new`. */
const isClass = (rule: (...given: never[]) => unknown): boolean =>
  /^class\b/.test(Function.prototype.toString.call(rule));

/**
 * Returns true if a rule is a class with this method, and not a function. The prototype does not show the method of an
 * abstract class, or one that is a property.
 */
export const isResolverClass = <Resolver>(
  rule: unknown,
  method: keyof Resolver,
): rule is ResolverClass<Resolver> =>
  typeof rule === 'function' &&
  (typeof (rule.prototype as Partial<Resolver> | undefined)?.[method] === 'function' ||
    isClass(rule as () => unknown));

/** Throws: without Nest, nobody creates instances. */
export const rejectResolvers: ProviderResolver<unknown> = (type) => {
  throw configError(
    'bad-option',
    `${type.name} is a class that Nest would have to instantiate, and there is no Nest here.`,
    'Give a function, or use RateLimitModule.',
  );
};
