import { mistake } from '../core/errors.js';
import { andThen, type Later, rescued } from '../core/later.js';
import { shown } from '../core/shown.js';
import type { Caller } from '../key/caller.js';
import type { Hash, Hashing } from '../key/hash.js';
import { addressIdentity, compileKey } from '../key/key.js';
import { identityOf } from '../key/value.js';
import type { KeyFunction, KeyResolver, KeyRule } from './options.js';
import { type Report, reportFor } from './report.js';
import { isResolver, type Resolve } from './resolve.js';

/** Finds who is charged, or null to skip the limit. */
export interface Identifier<Context> {
  readonly needsUser: boolean;
  readonly identify: (context: Context) => Later<string | null>;
}

function byFunction<Context extends Caller>(
  find: KeyFunction<Context>,
  place: string,
  hash: Hash,
  report: Report,
): (context: Context) => Later<string | null> {
  const orAddress = (context: Context, what: string | null, detail: unknown): string => {
    const heard = reportFor(context, report);
    if (what !== null) heard(place, `${what}, so the caller's address is charged.`, detail);
    return addressIdentity(context, (text) => heard(place, text));
  };
  const ofAnswer = (answer: unknown, context: Context): string | null => {
    if (answer === null) return null;
    if (typeof answer === 'string' && answer !== '') return identityOf('key', answer, hash);
    return orAddress(context, answer === undefined ? null : 'The key function gave no identity', answer);
  };
  return rescued(
    (context) => andThen(find(context), (answer) => ofAnswer(answer, context)),
    (error, context) => orAddress(context, 'The key function failed', error),
  );
}

/** What a limit takes from its surroundings to find who is charged. */
export interface IdentifySurroundings<Context> extends Hashing {
  readonly report: Report;
  readonly resolve: Resolve<Context>;
}

/**
 * Compiles the key of the limit at `place`.
 *
 * @throws RateLimitConfigError `bad-key` for a text that is no key.
 */
export function compileIdentifier<Context extends Caller>(
  key: KeyRule<Context>,
  place: string,
  { hash, keepsSecrets, report, resolve }: IdentifySurroundings<Context>,
): Identifier<Context> {
  if (isResolver<KeyResolver<Context>>(key, 'resolveKey')) {
    const found = resolve(key, place);
    const find = (context: Context) => andThen(found(context), (resolver) => resolver.resolveKey(context));
    return { needsUser: false, identify: byFunction(find, place, hash, report) };
  }
  if (typeof key === 'function')
    return { needsUser: false, identify: byFunction(key as KeyFunction<Context>, place, hash, report) };
  if (typeof key !== 'string') {
    throw mistake(
      'bad-key',
      `${shown(key)} is no key.`,
      `Give a text such as 'user|ip', or a function of the context.`,
    );
  }
  return compileKey(key, { hash, keepsSecrets, report: (what) => report(place, what) });
}
