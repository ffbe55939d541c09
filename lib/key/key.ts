import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';
import type { Caller, ValueSource } from './caller.js';
import type { Hashing } from './hash.js';
import { checkSecrecy, identityOf, identityOfValue, isValueSource, VALUE_SOURCES } from './value.js';

/** One form of a key. */
export type KeyForm = 'ip' | 'user' | 'anon' | 'global' | `${ValueSource}:${string}`;

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
  readonly needsUser: boolean;
  identify(caller: Caller): string | null;
}

export interface KeyTools extends Hashing {
  /** Hears of a caller that could not be identified as the key asks, and was charged to the address. */
  readonly report: (what: string) => void;
}

/** What a part of a key finds: an identity, null to skip the limit, undefined when the request lacks it. */
type Part = (caller: Caller) => string | null | undefined;

/** The identity of the caller's address. */
export function addressIdentity(caller: Caller, report: KeyTools['report']): string {
  if (caller.address !== null) return `ip:${caller.address}`;
  report(
    'The caller has no address here, so all such callers share one bucket. Give the limit another key, such as a function of the context.',
  );
  return 'ip:unknown';
}

function userPart({ hash, report }: KeyTools): Part {
  return (caller) => {
    if (!caller.authenticated) return null;
    if (caller.userId !== null) return identityOf('user', caller.userId, hash);
    report(
      `The signed-in user has no id, sub or userId, so the caller's address is charged. Tell RateLimitModule where the id is: user: (request) => request.user.email.`,
    );
    return undefined;
  };
}

function valuePart(source: ValueSource, written: string, tools: KeyTools): Part {
  checkSecrecy(source, tools);
  const name = source === 'header' ? written.toLowerCase() : written;
  return (caller) => identityOfValue(source, name, caller.value(source, name), tools.hash);
}

const FORM = /^(?<kind>[a-z]+)(?::(?<name>[!#$%&'*.^_`~0-9A-Za-z-]+))?$/;

function partOf(form: string, tools: KeyTools): Part {
  const { kind, name } = FORM.exec(form)?.groups ?? {};
  if (kind !== undefined && name !== undefined && isValueSource(kind)) return valuePart(kind, name, tools);
  if (name === undefined) {
    if (kind === 'ip') return (caller) => addressIdentity(caller, tools.report);
    if (kind === 'user') return userPart(tools);
    if (kind === 'anon')
      return (caller) => (caller.authenticated ? null : addressIdentity(caller, tools.report));
    if (kind === 'global') return () => 'global';
  }
  throw mistake(
    'bad-key',
    `${shown(form)} is not a form of key.`,
    `Use ip, user, anon, global or ${VALUE_SOURCES.join(', ')} with :<name>, joined by + and |, such as 'user|ip', or a function of the context.`,
  );
}

/** Parts together: skipped when one of them is, lacking when one is absent and `absent` is not given. */
function together(
  parts: readonly Part[],
  caller: Caller,
  absent: string | undefined,
): string | null | undefined {
  const found: string[] = [];
  let lacking = false;
  for (const part of parts) {
    const own = part(caller);
    if (own === null) return null;
    const identity = own ?? absent;
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
export function compileKey(text: string, tools: KeyTools): Key {
  const forms = text.split('|').map((words) => words.split('+').map((form) => form.trim()));
  const needsUser = forms.flat().some((form) => form === 'user' || form === 'anon');
  const alternatives = forms.map((words) => words.map((form) => partOf(form, tools)));
  const only = alternatives.length === 1 && alternatives[0]?.length === 1 ? alternatives[0][0] : undefined;
  const orAddress = (caller: Caller) => addressIdentity(caller, tools.report);

  if (only !== undefined) {
    return {
      needsUser,
      identify(caller) {
        const identity = only(caller);
        return identity === undefined ? orAddress(caller) : identity;
      },
    };
  }
  return {
    needsUser,
    identify(caller) {
      let lacking: readonly Part[] | undefined;
      for (const parts of alternatives) {
        const identity = together(parts, caller, undefined);
        if (typeof identity === 'string') return identity;
        if (identity === undefined) lacking = parts;
      }
      // Leaving out what a key asks for makes a request neither free nor one of a shared bucket.
      return lacking === undefined ? null : (together(lacking, caller, orAddress(caller)) ?? null);
    },
  };
}
