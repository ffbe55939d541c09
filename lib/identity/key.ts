import { configError, describeValue } from '../core/errors.js';
import type { Caller } from './caller.js';
import {
  addressIdentity,
  findKeyForm,
  type IdentityExtractor,
  KEY_FORMS,
  type KeyCompilation,
  type KeyForm,
  type KeyFormRow,
} from './key-forms.js';

/**
 * The key of a limit as text: a form, or forms joined by `+` (charged together) and `|` (otherwise, which
 * binds less tightly).
 *
 * - `ip`: the caller's address. `global`: one bucket for all callers.
 * - `user`: the signed-in user; the limit is skipped for anonymous callers.
 * - `anon`: the address of an anonymous caller; the limit is skipped for signed-in ones.
 * - `header:<name>`, `query:<name>`, `cookie:<name>`: a value of the request, kept as a keyed hash.
 *   `body:<name>`, `param:<name>`: a value that is not a secret. The address when the value is absent, or not
 *   a single text or number.
 *
 * @example
 * 'user|ip'              // the user, otherwise the address
 * 'header:x-api-key|ip'  // the API key, otherwise the address
 * 'ip+body:email'        // each account from each address
 */
export type KeyText = KeyForm | `${KeyForm}${'|' | '+'}${string}`;

/** A compiled key. */
export interface Key {
  /** Returns the identity to charge, or null to skip the limit. */
  identify(caller: Caller): string | null;
  /** True when the identity depends on the signed-in user. */
  readonly readsUser: boolean;
  /** The key's alternatives, each with the forms that are charged together. */
  readonly forms: readonly (readonly KeyFormRow[])[];
}

interface ParsedForm {
  readonly row: KeyFormRow;
  readonly name: string;
}

const FORM = /^(?<word>[a-z]+)(?::(?<name>[!#$%&'*.^_`~0-9A-Za-z-]+))?$/;

function parseForm(text: string): ParsedForm {
  const { word = '', name } = FORM.exec(text)?.groups ?? {};
  const row = findKeyForm(word);
  if (row !== undefined && row.takesName === (name !== undefined)) return { row, name: name ?? '' };
  const names = Object.entries(KEY_FORMS).map(([formName, { takesName }]) => ({ formName, takesName }));
  const list = (takesName: boolean) =>
    names
      .filter((form) => form.takesName === takesName)
      .map(({ formName }) => formName)
      .join(', ');
  throw configError(
    'bad-key',
    `${describeValue(text)} is not a form of key.`,
    `Use ${list(false)} or ${list(true)} with :<name>, joined by + and |, such as 'user|ip', or a function of the context.`,
  );
}

/**
 * Returns identities together: null when one skips the limit, undefined when one is absent and there is no
 * `fallback`.
 */
function joinIdentities(
  extracts: readonly IdentityExtractor<undefined>[],
  caller: Caller,
  fallback: string | undefined,
): string | null | undefined {
  const identities: string[] = [];
  let isAbsent = false;
  for (const extract of extracts) {
    const own = extract(caller);
    if (own === null) return null;
    const identity = own ?? fallback;
    if (identity === undefined) isAbsent = true;
    else if (!identities.includes(identity)) identities.push(identity);
  }
  return isAbsent ? undefined : identities.join('+');
}

const absent = (): undefined => undefined;

/**
 * Compiles a key.
 *
 * @throws RateLimitConfigError `bad-key` that names the wrong part, or `no-secret`.
 */
export function compileKey(text: string, compilation: KeyCompilation): Key {
  const alternatives = text
    .split('|')
    .map((alternative) => alternative.split('+').map((form) => parseForm(form.trim())));
  const forms = alternatives.map((parsed) => parsed.map(({ row }) => row));
  const readsUser = forms.flat().some((row) => row.readsUser);
  const toAddress = (caller: Caller) => addressIdentity(caller, compilation.report);

  const [only, ...others] = alternatives.flat();
  if (only !== undefined && others.length === 0)
    return { identify: only.row.compile(only.name, compilation, toAddress), readsUser, forms };

  const compiled = alternatives.map((parsed) =>
    parsed.map(({ row, name }) => row.compile(name, compilation, absent)),
  );
  return {
    identify(caller) {
      let incomplete: readonly IdentityExtractor<undefined>[] | undefined;
      for (const extracts of compiled) {
        const identity = joinIdentities(extracts, caller, undefined);
        if (typeof identity === 'string') return identity;
        if (identity === undefined) incomplete = extracts;
      }
      // A request that leaves out what a key takes is neither free nor charged to a bucket that others share.
      return incomplete === undefined
        ? null
        : (joinIdentities(incomplete, caller, toAddress(caller)) ?? null);
    },
    readsUser,
    forms,
  };
}
