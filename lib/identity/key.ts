import { assertConfig, describeValue } from '../core/errors.js';
import type { Caller } from './caller.js';
import {
  addressIdentity,
  findKeyForm,
  KEY_FORMS,
  type KeyCompilation,
  type KeyForm,
  type KeyFormRow,
} from './key-forms.js';

/**
 * The key of a limit as text: a form, or forms joined by `+` (charged together) and `|` (otherwise, which
 * binds less tightly).
 *
 * - `ip`: the client's address. `global`: one bucket for all clients.
 * - `user`: the logged-in user; the limit is skipped for anonymous clients.
 * - `anon`: the address of an anonymous client; the limit is skipped for logged-in ones.
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
  /** True when the identity depends on the logged-in user. */
  readonly readsUser: boolean;
  /** The key's alternatives, each with the forms that are charged together. */
  readonly forms: readonly (readonly KeyFormRow[])[];
}

const FORM = /^(?<word>[a-z]+)(?::(?<name>[!#$%&'*.^_`~0-9A-Za-z-]+))?$/;

function compileForm(text: string, compilation: KeyCompilation) {
  const { word = '', name } = FORM.exec(text)?.groups ?? {};
  const row = findKeyForm(word);
  const list = (takesName: boolean) =>
    Object.entries(KEY_FORMS)
      .flatMap(([form, facts]) => (facts.takesName === takesName ? [form] : []))
      .join(', ');
  assertConfig(
    row !== undefined && row.takesName === (name !== undefined),
    'bad-key',
    `${describeValue(text)} is not a form of key.`,
    `Use ${list(false)} or ${list(true)} with :<name>, joined by + and |, such as 'user|ip', or a function of the context.`,
  );
  return { row, extract: row.compile(name ?? '', compilation) };
}

const join = (identities: readonly (string | null | undefined)[]): string =>
  [...new Set(identities)].join('+');

/**
 * Compiles a key.
 *
 * @throws RateLimitConfigError `bad-key` that names the wrong part, or `no-secret`.
 */
export function compileKey(text: string, compilation: KeyCompilation): Key {
  const alternatives = text
    .split('|')
    .map((alternative) => alternative.split('+').map((form) => compileForm(form.trim(), compilation)));
  const forms = alternatives.map((compiled) => compiled.map(({ row }) => row));
  const readsUser = forms.flat().some((row) => row.readsUser);
  const toAddress = (caller: Caller) => addressIdentity(caller, compilation.report);

  const [only, ...others] = alternatives.flat();
  if (only !== undefined && others.length === 0) {
    const { row, extract } = only;
    const orAddress = (caller: Caller) => {
      const identity = extract(caller);
      return identity === undefined ? toAddress(caller) : identity;
    };
    // Only a named value may be missing in a request.
    const identify = row.takesName ? orAddress : (extract as Key['identify']);
    return { identify, readsUser, forms };
  }
  return {
    identify(caller) {
      let incomplete: readonly (string | null | undefined)[] | undefined;
      for (const alternative of alternatives) {
        const identities = alternative.map(({ extract }) => extract(caller));
        if (identities.includes(null)) continue;
        if (!identities.includes(undefined)) return join(identities);
        incomplete = identities;
      }
      if (incomplete === undefined) return null;
      // A request that leaves out what a key takes is neither free nor charged to a bucket that others share.
      const address = toAddress(caller);
      return join(incomplete.map((identity) => identity ?? address));
    },
    readsUser,
    forms,
  };
}
