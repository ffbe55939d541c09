import { assertConfig } from '../core/errors.js';
import { escapeValue } from '../core/escape.js';
import type { AddressNormalizer } from './addresses.js';
import type { Caller, ValueLocation } from './caller.js';
import type { Hasher, IdentityHashing } from './hash.js';

/** Settings of the module that a key is compiled with. */
export interface KeyCompilation extends IdentityHashing {
  /** Reports a client that could not be identified as the key says and was charged by address. */
  readonly report: (message: string) => void;
}

/** Settings that the form of an identity depends on. */
export interface IdentityFormat {
  readonly hash: Hasher;
  readonly address: AddressNormalizer;
}

/**
 * Returns the identity to charge, null to skip the limit, or undefined when the request lacks what the key
 * takes.
 */
export type IdentityExtractor = (caller: Caller) => string | null | undefined;

/**
 * A form of key: how it finds an identity, and every fact that the rest of the library needs to know of it.
 */
export interface KeyFormRow {
  /** True when a name follows the form, as in `header:x-api-key`. */
  readonly takesName: boolean;
  /** True when the identity depends on the user, whom a guard may set later. */
  readonly readsUser: boolean;
  /** True when a client can make up a new identity for each request. */
  readonly isForgeable: boolean;
  /** The clients that a limit with this form applies to; null for all. */
  readonly onlyFor: 'users' | 'anonymous' | null;
  /** The kind of its identities: the part before their first colon. */
  readonly identityKind: string;
  /**
   * Compiles the form.
   *
   * @param name The name behind the form; empty for a form without one.
   */
  compile(name: string, compilation: KeyCompilation): IdentityExtractor;
  /** Returns the part of an identity behind its kind, from a value that somebody has typed. */
  parse(value: string, format: IdentityFormat): string;
  /**
   * Returns the same part when a key has written it already, with a hash for a secret; otherwise undefined.
   */
  parseHashed?(value: string): string | undefined;
}

// A longer value is kept as its hash: an attacker chooses how long it is.
const MAX_VALUE_LENGTH = 64;
// No e-mail address is longer, and normalizing a megabyte takes a while.
const MAX_NORMALIZED_LENGTH = 1_000;

/** Returns a value as it stands in an identity: escaped, or hashed behind a `~` when it is long. */
export const formatValue = (value: string, hash: Hasher): string =>
  value.length > MAX_VALUE_LENGTH ? `~${hash(value)}` : escapeValue(value);

export const formatIdentity = (kind: string, value: string, hash: Hasher): string =>
  `${kind}:${formatValue(value, hash)}`;

/** Returns the identity of the client's address. */
export function addressIdentity(caller: Caller, report: KeyCompilation['report']): string {
  if (caller.address !== null) return `ip:${caller.address}`;
  report(
    'The client has no address here, so all such clients share one bucket. Give the limit another key, such as a function of the context.',
  );
  return 'ip:unknown';
}

const NAME_AND_VALUE = /^([^:]*):(.*)$/s;
/** The form of a {@link Hasher}'s hashes. */
const HASH = /^[\w-]{22}$/;

/** The facts of most forms. */
const PLAIN_FORM = {
  takesName: false,
  readsUser: false,
  isForgeable: false,
  onlyFor: null,
  parse: (value: string, { hash }: IdentityFormat) => formatValue(value, hash),
} as const;

interface ValueFormOptions {
  /** True when the values may be secrets. The store keeps only keyed hashes of them. */
  readonly isSecret: boolean;
  /** Brings values that mean the same to one form. Default: as they are. */
  readonly normalize?: (text: string) => string;
  /** The same for names. */
  readonly normalizeName?: (name: string) => string;
}

const unchanged = (text: string): string => text;

/**
 * Creates the form for values that clients put somewhere in a request: `header:x-api-key:<hash>`,
 * `body:email:a@b.c`.
 */
function valueForm(
  location: ValueLocation,
  { isSecret, normalize = unchanged, normalizeName = unchanged }: ValueFormOptions,
): KeyFormRow & { readonly takesName: true } {
  const format = isSecret ? (value: string, hash: Hasher) => hash(value) : formatValue;

  /** Returns a value as text; undefined when it is missing or not a single value. */
  const toText = (raw: unknown): string | undefined => {
    const isPlain = typeof raw === 'number' || typeof raw === 'bigint' || typeof raw === 'boolean';
    const text = isPlain ? String(raw) : raw;
    const value = typeof text === 'string' ? normalize(text) : '';
    return value === '' ? undefined : value;
  };

  return {
    ...PLAIN_FORM,
    takesName: true,
    isForgeable: true,
    identityKind: location,
    compile(text, { hash, isKeyed }) {
      assertConfig(
        isKeyed || !isSecret,
        'no-secret',
        `The value of a ${location} may be a secret, and the shared store would keep a hash of it that anybody can compute.`,
        `Give RateLimitModule a secret that is the same in every process: secret: process.env.RATE_LIMIT_SECRET.`,
      );
      const name = normalizeName(text);
      return (caller) => {
        const value = toText(caller.value(location, name));
        return value === undefined ? undefined : `${location}:${name}:${format(value, hash)}`;
      };
    },
    parse(text, { hash }) {
      const [, name = '', raw = ''] = NAME_AND_VALUE.exec(text) ?? [];
      const value = toText(raw);
      return value === undefined ? escapeValue(text) : `${normalizeName(name)}:${format(value, hash)}`;
    },
    parseHashed(text) {
      const [, name = '', value = ''] = NAME_AND_VALUE.exec(text) ?? [];
      return isSecret && HASH.test(value) ? `${normalizeName(name)}:${value}` : undefined;
    },
  };
}

/**
 * Brings what people type in different ways to one form: `Alice@Example.org ` becomes `alice@example.org`.
 */
function normalizeText(text: string): string {
  const trimmed = text.trim();
  return trimmed.length > MAX_NORMALIZED_LENGTH ? trimmed : trimmed.normalize('NFKC').trim().toLowerCase();
}

/** The forms of keys, by the word that they begin with. */
export const KEY_FORMS = Object.freeze({
  ip: {
    ...PLAIN_FORM,
    identityKind: 'ip',
    compile:
      (_name, { report }) =>
      (caller) =>
        addressIdentity(caller, report),
    // Keys write an IPv6 network with its prefix.
    parse: (value, { address }) => address(value.replace(/\/\d{1,3}$/, '')) ?? escapeValue(value),
  },
  user: {
    ...PLAIN_FORM,
    readsUser: true,
    onlyFor: 'users',
    identityKind: 'user',
    compile(_name, { hash, report }) {
      return (caller) => {
        if (!caller.authenticated) return null;
        if (caller.userId !== null) return formatIdentity('user', caller.userId, hash);
        report(
          `The logged-in user has no id, sub or userId, so the client's address is charged. Tell RateLimitModule where the id is: user: (request) => request.user.email.`,
        );
      };
    },
  },
  anon: {
    ...PLAIN_FORM,
    readsUser: true,
    onlyFor: 'anonymous',
    identityKind: 'ip',
    compile:
      (_name, { report }) =>
      (caller) =>
        caller.authenticated ? null : addressIdentity(caller, report),
  },
  global: { ...PLAIN_FORM, identityKind: 'global', compile: () => () => 'global' },
  header: valueForm('header', { isSecret: true, normalizeName: (name) => name.toLowerCase() }),
  query: valueForm('query', { isSecret: true }),
  cookie: valueForm('cookie', { isSecret: true }),
  body: valueForm('body', { isSecret: false, normalize: normalizeText }),
  param: valueForm('param', { isSecret: false }),
} satisfies Record<string, KeyFormRow>);

type FormName = keyof typeof KEY_FORMS;

/** One form of a key. */
export type KeyForm = {
  [Name in FormName]: (typeof KEY_FORMS)[Name]['takesName'] extends true ? `${Name}:${string}` : Name;
}[FormName];

/** Returns the form that begins with a word; undefined when there is none. */
export const findKeyForm = (word: string): KeyFormRow | undefined =>
  Object.hasOwn(KEY_FORMS, word) ? KEY_FORMS[word as FormName] : undefined;
