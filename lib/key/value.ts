import { mistake } from '../core/errors.js';
import { escapeValue } from '../core/escape.js';
import type { ValueSource } from './caller.js';
import type { Hash, Hashing } from './hash.js';

/** Whether values of a source may be secrets, such as API keys and sessions. */
const HOLDS_SECRETS: Readonly<Record<ValueSource, boolean>> = {
  header: true,
  query: true,
  cookie: true,
  body: false,
  param: false,
};

export const VALUE_SOURCES = Object.keys(HOLDS_SECRETS) as readonly ValueSource[];

export const isValueSource = (word: string): word is ValueSource => Object.hasOwn(HOLDS_SECRETS, word);

// A longer value is kept as its hash alone: an attacker chooses how long it is.
const LONGEST_VALUE = 64;
// Nobody's e-mail is longer, and to normalise a megabyte takes a while.
const LONGEST_NORMALISED = 1_000;

/** A value behind what it is of, escaped, or hashed behind a `~` when it is long. */
export const identityOf = (kind: string, value: string, hash: Hash): string =>
  value.length > LONGEST_VALUE ? `${kind}:~${hash(value)}` : `${kind}:${escapeValue(value)}`;

/** What is typed in different ways, and meant alike: `Alice@Example.org ` is `alice@example.org`. */
function meant(text: string): string {
  const trimmed = text.trim();
  return trimmed.length > LONGEST_NORMALISED ? trimmed : trimmed.normalize('NFKC').trim().toLowerCase();
}

/** What a request holds as text; undefined for what is no single value. */
function textIn(raw: unknown, source: ValueSource): string | undefined {
  const text =
    typeof raw === 'number' || typeof raw === 'bigint' || typeof raw === 'boolean' ? String(raw) : raw;
  if (typeof text !== 'string') return undefined;
  const value = source === 'body' ? meant(text) : text;
  return value === '' ? undefined : value;
}

/**
 * The identity of a value that a request holds: `header:x-api-key:<hash>`, `body:email:alice@example.org`;
 * undefined where it holds none.
 */
export function identityOfValue(
  source: ValueSource,
  name: string,
  raw: unknown,
  hash: Hash,
): string | undefined {
  const value = textIn(raw, source);
  if (value === undefined) return undefined;
  return HOLDS_SECRETS[source]
    ? `${source}:${name}:${hash(value)}`
    : identityOf(`${source}:${name}`, value, hash);
}

const NAME_AND_VALUE = /^([^:]*):(.*)$/s;
/** What {@link Hash} makes of a value. */
const HASHED = /^[\w-]{22}$/;

const nameOf = (source: ValueSource, name: string): string =>
  source === 'header' ? name.toLowerCase() : name;

/** An identity of a value as given in words, such as `header:X-API-Key:<the key itself>`. */
export function valueInWords(source: ValueSource, rest: string, hash: Hash): string {
  const [, name = '', value = ''] = NAME_AND_VALUE.exec(rest) ?? [rest, rest];
  return identityOfValue(source, nameOf(source, name), value, hash) ?? `${source}:${escapeValue(rest)}`;
}

/** An identity as keys have written it, where they keep hashes of values alone; undefined for any other. */
export function hashedAlready(source: ValueSource, rest: string): string | undefined {
  const [, name = '', value = ''] = NAME_AND_VALUE.exec(rest) ?? [];
  return HOLDS_SECRETS[source] && HASHED.test(value)
    ? `${source}:${nameOf(source, name)}:${value}`
    : undefined;
}

/** Throws `no-secret` where values of a source would be kept under a hash that anybody can make. */
export function checkSecrecy(source: ValueSource, { keepsSecrets }: Hashing): void {
  if (keepsSecrets || !HOLDS_SECRETS[source]) return;
  throw mistake(
    'no-secret',
    `The value of a ${source} may be a secret, and the shared store would keep it under a hash that anybody can make.`,
    `Give RateLimitModule a secret, the same to every process: secret: process.env.RATE_LIMIT_SECRET.`,
  );
}
