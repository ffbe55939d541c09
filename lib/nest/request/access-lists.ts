import { type Awaitable, andThen, rescued } from '../../core/awaitable.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { configError, describeValue } from '../../core/errors.js';
import { compileNetworkMatcher } from '../../identity/addresses.js';
import type { RateLimitContext } from '../context/call-context.js';

/** Who is on a list: addresses, networks, and functions of the context. */
export type AccessList = readonly (string | ((context: RateLimitContext) => Awaitable<boolean>))[];

/** Whether a caller is on a list. */
type IsListed = (context: RateLimitContext) => Awaitable<boolean>;

/** The lists of the module; null for one that is empty. */
export interface AccessLists {
  readonly allow: IsListed | null;
  readonly deny: IsListed | null;
}

/**
 * Compiles a list. A function that fails says no, which is reported.
 *
 * @throws RateLimitConfigError `bad-address`, or `bad-option` for what can be on no list.
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
      `${describeValue(wrong)} can be on no list.`,
      'Give addresses, networks and functions.',
    );
  }
  const isIn = compileNetworkMatcher(list.filter((entry) => typeof entry === 'string'));
  const functions = list
    .filter((entry) => typeof entry === 'function')
    .map((entry) =>
      rescued(entry, (error) => {
        report(name, `A function of the ${name} list failed, so the caller is not on it.`, error);
        return false;
      }),
    );
  return (context) =>
    functions.reduce<Awaitable<boolean>>(
      (before, next) =>
        andThen(before, (found) => found || andThen(next(context), (answer) => answer === true)),
      isIn(context.rawAddress),
    );
}

/** Which list a caller is on: deny wins. Null when it is on none. */
export function findListing(
  { allow, deny }: AccessLists,
  context: RateLimitContext,
): Awaitable<'allow' | 'deny' | null> {
  const denied = deny === null ? false : deny(context);
  return andThen(denied, (isDenied): Awaitable<'allow' | 'deny' | null> => {
    if (isDenied) return 'deny';
    return allow === null ? null : andThen(allow(context), (isAllowed) => (isAllowed ? 'allow' : null));
  });
}
