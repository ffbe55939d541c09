import { mistake } from '../core/errors.js';
import type { Caller } from '../key/caller.js';
import type { Hash } from '../key/hash.js';
import { identityOf } from '../key/identity.js';
import { addressIdentity, compileKey } from '../key/key.js';
import type { Later } from '../store/store.js';
import { andThen, rescued } from './later.js';
import type { KeyFunction, KeyRule } from './options.js';
import type { Report } from './report.js';

/** Finds who is charged, or null to skip the limit. */
export interface Identifier<Context> {
  readonly needsUser: boolean;
  readonly identify: (context: Context) => Later<string | null>;
}

function byFunction<Context extends Caller>(
  find: KeyFunction<Context>,
  hash: Hash,
  report: (what: string, detail?: unknown) => void,
): (context: Context) => Later<string | null> {
  const ofAnswer = (answer: unknown, context: Context): string | null => {
    if (answer === null) return null;
    if (typeof answer === 'string' && answer !== '') return identityOf('key', answer, hash);
    if (answer !== undefined) {
      report(
        `The key function gave no identity, so the caller's address is charged. Give a string that is not empty, or null to skip the limit.`,
        answer,
      );
    }
    return addressIdentity(context, report);
  };
  return rescued(
    (context) => andThen(find(context), (answer) => ofAnswer(answer, context)),
    (error, context) => {
      report(`The key function failed, so the caller's address is charged.`, error);
      return addressIdentity(context, report);
    },
  );
}

/**
 * Compiles the key of the limit at `place`.
 *
 * @throws RateLimitConfigError `bad-key` for a text that is no key.
 */
export function compileIdentifier<Context extends Caller>(
  key: KeyRule<Context>,
  place: string,
  { hash, report }: { readonly hash: Hash; readonly report: Report },
): Identifier<Context> {
  const reportHere = (what: string, detail?: unknown) => report(place, what, detail);
  if (typeof key === 'function') return { needsUser: false, identify: byFunction(key, hash, reportHere) };
  if (typeof key !== 'string') {
    throw mistake(
      'bad-key',
      `${JSON.stringify(key)} is no key.`,
      `Give a text such as 'user|ip', or a function of the context.`,
    );
  }
  return compileKey(key, { hash, report: reportHere });
}
