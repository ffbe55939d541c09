import { type Awaitable, andThen, rescued } from '../core/awaitable.js';
import { type ErrorReporter, reportFor } from '../core/error-reporter.js';
import { configError, describeValue } from '../core/errors.js';
import type { Caller } from '../identity/caller.js';
import type { Hasher, IdentityHashing } from '../identity/hash.js';
import { addressIdentity, compileKey } from '../identity/key.js';
import { formatIdentity } from '../identity/key-forms.js';
import type { KeyFunction, KeyResolver, KeyRule } from './options.js';
import { isResolverClass, type ProviderResolver } from './resolvers.js';

/** Finds who is charged, or null to skip the limit. */
export interface CompiledKey<Context> {
  readonly readsUser: boolean;
  readonly identify: (context: Context) => Awaitable<string | null>;
}

function keyFromCallback<Context extends Caller>(
  find: KeyFunction<Context>,
  source: string,
  hash: Hasher,
  report: ErrorReporter,
): (context: Context) => Awaitable<string | null> {
  const orAddress = (context: Context, message: string | null, detail: unknown): string => {
    const reporter = reportFor(context, report);
    if (message !== null) reporter(source, `${message}, so the caller's address is charged.`, detail);
    return addressIdentity(context, (text) => reporter(source, text));
  };
  const ofAnswer = (answer: unknown, context: Context): string | null => {
    if (answer === null) return null;
    if (typeof answer === 'string' && answer !== '') return formatIdentity('key', answer, hash);
    return orAddress(context, answer === undefined ? null : 'The key function gave no identity', answer);
  };
  return rescued(
    (context) => andThen(find(context), (answer) => ofAnswer(answer, context)),
    (error, context) => orAddress(context, 'The key function failed', error),
  );
}

/** What a limit takes from its surroundings to find who is charged. */
export interface IdentifySurroundings<Context> extends IdentityHashing {
  readonly report: ErrorReporter;
  readonly resolve: ProviderResolver<Context>;
}

/**
 * Compiles the key of the limit at `source`.
 *
 * @throws RateLimitConfigError `bad-key` for a text that is no key.
 */
export function compileKeyRule<Context extends Caller>(
  key: KeyRule<Context>,
  source: string,
  { hash, isKeyed, report, resolve }: IdentifySurroundings<Context>,
): CompiledKey<Context> {
  if (isResolverClass<KeyResolver<Context>>(key, 'resolveKey')) {
    const found = resolve(key, source);
    const find = (context: Context) => andThen(found(context), (resolver) => resolver.resolveKey(context));
    return { readsUser: false, identify: keyFromCallback(find, source, hash, report) };
  }
  if (typeof key === 'function')
    return { readsUser: false, identify: keyFromCallback(key as KeyFunction<Context>, source, hash, report) };
  if (typeof key !== 'string') {
    throw configError(
      'bad-key',
      `${describeValue(key)} is no key.`,
      `Give a text such as 'user|ip', or a function of the context.`,
    );
  }
  return compileKey(key, { hash, isKeyed, report: (message) => report(source, message) });
}
