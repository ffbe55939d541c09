import type { Awaitable } from '../../core/awaitable.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { configError, describeValue } from '../../core/errors.js';
import { compileNetworkMatcher } from '../../identity/addresses.js';
import { callback } from '../../plan/callbacks.js';
import type { RateLimitContext } from '../context/call-context.js';

/** A list of clients: addresses, networks, and functions of the context. */
export type AccessList = readonly (string | ((context: RateLimitContext) => Awaitable<boolean>))[];

/** Returns true if a client is on a list. */
type IsListed = (context: RateLimitContext) => Promise<boolean>;

/** The lists of the module; null for an empty one. */
export interface AccessLists {
  readonly allow: IsListed | null;
  readonly deny: IsListed | null;
}

/**
 * Compiles a list; null for an empty one. A function that fails matches nobody, which is reported.
 *
 * @throws RateLimitConfigError `bad-address`, or `bad-option` for an entry of another kind.
 */
export function compileAccessList(
  list: AccessList | undefined,
  name: string,
  report: ErrorReporter,
): IsListed | null {
  if (list === undefined || list.length === 0) return null;
  const wrong = list.find((entry) => typeof entry !== 'string' && typeof entry !== 'function');
  if (wrong !== undefined) {
    throw configError(
      'bad-option',
      `${describeValue(wrong)} cannot be on a list.`,
      'Give addresses, networks and functions.',
    );
  }
  const isIn = compileNetworkMatcher(list.filter((entry) => typeof entry === 'string'));
  const functions = list
    .filter((entry) => typeof entry === 'function')
    .map((entry) =>
      callback(entry, {
        source: name,
        report,
        failed: `A function of the ${name} list failed, so the client is not on it.`,
        check: (isListed) => isListed === true,
        fallback: () => false,
      }),
    );
  return async (context) => {
    if (isIn(context.rawAddress)) return true;
    for (const isListed of functions) if (await isListed(context)) return true;
    return false;
  };
}

/** Returns the list that a client is on, or null. `deny` wins. */
export async function findListing(
  { allow, deny }: AccessLists,
  context: RateLimitContext,
): Promise<'allow' | 'deny' | null> {
  if (deny !== null && (await deny(context))) return 'deny';
  return allow !== null && (await allow(context)) ? 'allow' : null;
}
