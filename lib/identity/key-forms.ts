import { configError } from '../core/errors.js';
import { escapeValue } from '../core/escape.js';
import type { ValueLocation } from './caller.js';
import type { Hasher, IdentityHashing } from './hash.js';

/** Whether values of a source may be secrets, such as API keys and sessions. */
const IS_SECRET: Readonly<Record<ValueLocation, boolean>> = {
  header: true,
  query: true,
  cookie: true,
  body: false,
  param: false,
};

export const VALUE_LOCATIONS = Object.keys(IS_SECRET) as readonly ValueLocation[];

export const isValueLocation = (word: string): word is ValueLocation => Object.hasOwn(IS_SECRET, word);

// A longer value is kept as its hash alone: an attacker chooses how long it is.
const MAX_VALUE_LENGTH = 64;
// Nobody's e-mail is longer, and to normalise a megabyte takes a while.
const MAX_NORMALIZED_LENGTH = 1_000;

/** A value behind what it is of, escaped, or hashed behind a `~` when it is long. */
export const formatIdentity = (kind: string, value: string, hash: Hasher): string =>
  value.length > MAX_VALUE_LENGTH ? `${kind}:~${hash(value)}` : `${kind}:${escapeValue(value)}`;

/** What is typed in different ways, and meant alike: `Alice@Example.org ` is `alice@example.org`. */
function normalizeText(text: string): string {
  const trimmed = text.trim();
  return trimmed.length > MAX_NORMALIZED_LENGTH ? trimmed : trimmed.normalize('NFKC').trim().toLowerCase();
}

/** What a request holds as text; undefined for what is no single value. */
function toText(raw: unknown, location: ValueLocation): string | undefined {
  const text =
    typeof raw === 'number' || typeof raw === 'bigint' || typeof raw === 'boolean' ? String(raw) : raw;
  if (typeof text !== 'string') return undefined;
  const value = location === 'body' ? normalizeText(text) : text;
  return value === '' ? undefined : value;
}

/**
 * The identity of a value that a request holds: `header:x-api-key:<hash>`, `body:email:alice@example.org`;
 * undefined where it holds none.
 */
export function valueIdentity(
  location: ValueLocation,
  name: string,
  raw: unknown,
  hash: Hasher,
): string | undefined {
  const value = toText(raw, location);
  if (value === undefined) return undefined;
  return IS_SECRET[location]
    ? `${location}:${name}:${hash(value)}`
    : formatIdentity(`${location}:${name}`, value, hash);
}

const NAME_AND_VALUE = /^([^:]*):(.*)$/s;
/** What {@link Hasher} makes of a value. */
const HASHED = /^[\w-]{22}$/;

const nameOf = (location: ValueLocation, name: string): string =>
  location === 'header' ? name.toLowerCase() : name;

/** An identity of a value as given in words, such as `header:X-API-Key:<the key itself>`. */
export function valueInWords(location: ValueLocation, rest: string, hash: Hasher): string {
  const [, name = '', value = ''] = NAME_AND_VALUE.exec(rest) ?? [rest, rest];
  return valueIdentity(location, nameOf(location, name), value, hash) ?? `${location}:${escapeValue(rest)}`;
}

/** An identity as keys have written it, where they keep hashes of values alone; undefined for any other. */
export function hashedAlready(location: ValueLocation, rest: string): string | undefined {
  const [, name = '', value = ''] = NAME_AND_VALUE.exec(rest) ?? [];
  return IS_SECRET[location] && HASHED.test(value)
    ? `${location}:${nameOf(location, name)}:${value}`
    : undefined;
}

/** Throws `no-secret` where values of a source would be kept under a hash that anybody can make. */
export function requireSecret(location: ValueLocation, { isKeyed }: IdentityHashing): void {
  if (isKeyed || !IS_SECRET[location]) return;
  throw configError(
    'no-secret',
    `The value of a ${location} may be a secret, and the shared store would keep it under a hash that anybody can make.`,
    `Give RateLimitModule a secret, the same to every process: secret: process.env.RATE_LIMIT_SECRET.`,
  );
}
