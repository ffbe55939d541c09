import { mistake } from '../core/errors.js';
import { andThen, type Later, rescued } from '../core/later.js';
import { shown } from '../core/shown.js';
import { compileNetworks } from '../key/networks.js';
import type { Report } from '../plan/report.js';
import type { RateLimitContext } from './context.js';

/** Who is on a list: addresses, networks, and functions of the context. */
export type AccessList = readonly (string | ((context: RateLimitContext) => Later<boolean>))[];

/** Whether a caller is on a list. */
type IsListed = (context: RateLimitContext) => Later<boolean>;

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
export function compileList(list: AccessList | undefined, name: string, report: Report): IsListed | null {
  if (list === undefined || list.length === 0) return null;
  const wrong = list.find((entry) => typeof entry !== 'string' && typeof entry !== 'function');
  if (wrong !== undefined) {
    throw mistake(
      'bad-option',
      `${shown(wrong)} can be on no list.`,
      'Give addresses, networks and functions.',
    );
  }
  const isIn = compileNetworks(list.filter((entry) => typeof entry === 'string'));
  const functions = list
    .filter((entry) => typeof entry === 'function')
    .map((entry) =>
      rescued(entry, (error) => {
        report(name, `A function of the ${name} list failed, so the caller is not on it.`, error);
        return false;
      }),
    );
  return (context) =>
    functions.reduce<Later<boolean>>(
      (before, next) =>
        andThen(before, (found) => found || andThen(next(context), (answer) => answer === true)),
      isIn(context.fullAddress),
    );
}

/** Which list a caller is on: deny wins. Null when it is on none. */
export function listingOf(
  { allow, deny }: AccessLists,
  context: RateLimitContext,
): Later<'allow' | 'deny' | null> {
  const denied = deny === null ? false : deny(context);
  return andThen(denied, (isDenied): Later<'allow' | 'deny' | null> => {
    if (isDenied) return 'deny';
    return allow === null ? null : andThen(allow(context), (isAllowed) => (isAllowed ? 'allow' : null));
  });
}
