import { configError, describeValue } from '../core/errors.js';
import type { Caller, ValueLocation } from './caller.js';
import type { IdentityHashing } from './hash.js';
import {
  formatIdentity,
  isValueLocation,
  requireSecret,
  VALUE_LOCATIONS,
  valueIdentity,
} from './key-forms.js';

/** One form of a key. */
export type KeyForm = 'ip' | 'user' | 'anon' | 'global' | `${ValueLocation}:${string}`;

/**
 * Who is charged, as text: a form, or forms joined by `+` ("together") and `|` ("else", which binds
 * less tightly).
 *
 * - `ip`: the caller's address. `global`: one bucket for all callers.
 * - `user`: the signed-in user; the limit is skipped for anonymous callers.
 * - `anon`: the address of an anonymous caller; the limit is skipped for signed-in ones.
 * - `header:<name>`, `query:<name>`, `cookie:<name>`: a value of the request, kept as a keyed hash; `body:<name>`,
 *   `param:<name>`: one that is no secret. The address when it is absent, or no single text or number.
 *
 * @example
 * 'user|ip'              // the user, else the address
 * 'header:x-api-key|ip'  // the API key, else the address
 * 'ip+body:email'        // each account from each address
 */
export type KeyText = KeyForm | `${KeyForm}${'|' | '+'}${string}`;

/** A compiled key: finds the identity that is charged, or null to skip the limit. */
export interface Key {
  /** Whether the answer depends on the signed-in user. */
  readonly readsUser: boolean;
  identify(caller: Caller): string | null;
}

export interface KeyCompilation extends IdentityHashing {
  /** Hears of a caller that could not be identified as the key asks, and was charged to the address. */
  readonly report: (message: string) => void;
}

/** What a part of a key finds: an identity, null to skip the limit, undefined when the request lacks it. */
type Extract = (caller: Caller) => string | null | undefined;

/** The identity of the caller's address. */
export function addressIdentity(caller: Caller, report: KeyCompilation['report']): string {
  if (caller.address !== null) return `ip:${caller.address}`;
  report(
    'The caller has no address here, so all such callers share one bucket. Give the limit another key, such as a function of the context.',
  );
  return 'ip:unknown';
}

function extractUser({ hash, report }: KeyCompilation): Extract {
  return (caller) => {
    if (!caller.authenticated) return null;
    if (caller.userId !== null) return formatIdentity('user', caller.userId, hash);
    report(
      `The signed-in user has no id, sub or userId, so the caller's address is charged. Tell RateLimitModule where the id is: user: (request) => request.user.email.`,
    );
    return undefined;
  };
}

function extractValue(location: ValueLocation, text: string, compilation: KeyCompilation): Extract {
  requireSecret(location, compilation);
  const name = location === 'header' ? text.toLowerCase() : text;
  return (caller) => valueIdentity(location, name, caller.value(location, name), compilation.hash);
}

const FORM = /^(?<kind>[a-z]+)(?::(?<name>[!#$%&'*.^_`~0-9A-Za-z-]+))?$/;

function compileForm(form: string, compilation: KeyCompilation): Extract {
  const { kind, name } = FORM.exec(form)?.groups ?? {};
  if (kind !== undefined && name !== undefined && isValueLocation(kind))
    return extractValue(kind, name, compilation);
  if (name === undefined) {
    if (kind === 'ip') return (caller) => addressIdentity(caller, compilation.report);
    if (kind === 'user') return extractUser(compilation);
    if (kind === 'anon')
      return (caller) => (caller.authenticated ? null : addressIdentity(caller, compilation.report));
    if (kind === 'global') return () => 'global';
  }
  throw configError(
    'bad-key',
    `${describeValue(form)} is not a form of key.`,
    `Use ip, user, anon, global or ${VALUE_LOCATIONS.join(', ')} with :<name>, joined by + and |, such as 'user|ip', or a function of the context.`,
  );
}

/** Parts together: skipped when one of them is, lacking when one is absent and `fallback` is not given. */
function joinIdentities(
  extracts: readonly Extract[],
  caller: Caller,
  fallback: string | undefined,
): string | null | undefined {
  const found: string[] = [];
  let lacking = false;
  for (const extract of extracts) {
    const own = extract(caller);
    if (own === null) return null;
    const identity = own ?? fallback;
    if (identity === undefined) lacking = true;
    else if (!found.includes(identity)) found.push(identity);
  }
  return lacking ? undefined : found.join('+');
}

/**
 * Compiles a key.
 *
 * @throws RateLimitConfigError `bad-key` naming the part that is wrong.
 */
export function compileKey(text: string, compilation: KeyCompilation): Key {
  const forms = text.split('|').map((words) => words.split('+').map((form) => form.trim()));
  const readsUser = forms.flat().some((form) => form === 'user' || form === 'anon');
  const alternatives = forms.map((words) => words.map((form) => compileForm(form, compilation)));
  const only = alternatives.length === 1 && alternatives[0]?.length === 1 ? alternatives[0][0] : undefined;
  const orAddress = (caller: Caller) => addressIdentity(caller, compilation.report);

  if (only !== undefined) {
    return {
      readsUser,
      identify(caller) {
        const identity = only(caller);
        return identity === undefined ? orAddress(caller) : identity;
      },
    };
  }
  return {
    readsUser,
    identify(caller) {
      let lacking: readonly Extract[] | undefined;
      for (const extracts of alternatives) {
        const identity = joinIdentities(extracts, caller, undefined);
        if (typeof identity === 'string') return identity;
        if (identity === undefined) lacking = extracts;
      }
      // Leaving out what a key asks for makes a request neither free nor one of a shared bucket.
      return lacking === undefined ? null : (joinIdentities(lacking, caller, orAddress(caller)) ?? null);
    },
  };
}
