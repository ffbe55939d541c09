import { escapeValue, unescapeValue } from '../core/escape.js';
import type { AddressForm } from './address.js';
import type { Hash } from './hash.js';
import { hashedAlready, identityOf, isValueSource, valueInWords } from './value.js';

const HASHED_VALUE = /^~[A-Za-z0-9_-]{22}$/;

/** `ip` of `ip:203.0.113.7`; all of what has one value alone. */
export function kindOf(identity: string): string {
  const end = identity.indexOf(':');
  return end < 0 ? identity : identity.slice(0, end);
}

/** How identities are written where they are given by hand. */
export interface IdentityForm {
  readonly hash: Hash;
  readonly address: AddressForm;
}

/** More are charged together by no key, but a client can write any number of them. */
const MOST_PARTS = 8;

const KIND_AND_VALUE = /^([A-Za-z][\w-]*):(.+)$/s;

/** An identity in words, as an application has it: `user:a+b@example.org`, or several that are charged together. */
export type IdentityInWords = string | readonly string[];

/** The address of an identity `ip:...`, which may be one already that keys have written, with its prefix. */
const addressIn = (value: string, address: AddressForm): string =>
  address(value.includes('/') ? value.replace(/\/\d{1,3}$/, '') : value) ?? escapeValue(value);

const KIND = /^[A-Za-z][\w-]*$/;

function inWords(text: string, form: IdentityForm): string {
  // At each call of a limiter, so not by an expression that takes the text apart.
  const end = text.indexOf(':');
  const kind = text.slice(0, Math.max(0, end));
  const value = text.slice(end + 1);
  if (value === '' || !KIND.test(kind)) return escapeValue(text);
  if (kind === 'ip') {
    const address = addressIn(value, form.address);
    // The text itself where it can be: a new one has to be hashed again to find its bucket.
    return address === value ? text : `ip:${address}`;
  }
  return isValueSource(kind) ? valueInWords(kind, value, form.hash) : identityOf(kind, value, form.hash);
}

/**
 * An identity in words as keys write it, so that it meets what routes have charged: `ip:2001:db8::1` is
 * `ip:2001:db8::/64`, `user:a+b@example.org` is `user:a%2Bb@example.org`. No two come out alike.
 */
export const identityInWords = (words: IdentityInWords, form: IdentityForm): string =>
  typeof words === 'string' ? inWords(words, form) : words.map((text) => inWords(text, form)).join('+');

function onePart(part: string, form: IdentityForm): string {
  const [, kind, value] = KIND_AND_VALUE.exec(part) ?? [];
  if (kind === undefined || value === undefined) return inWords(unescapeValue(part), form);
  if (HASHED_VALUE.test(value)) return part;
  const hashed = isValueSource(kind) ? hashedAlready(kind, value) : undefined;
  return hashed ?? inWords(unescapeValue(part), form);
}

/** An identity in words, or one that keys have written already: what an operator has at hand. */
export function writtenIdentity(given: IdentityInWords, form: IdentityForm): string {
  if (typeof given !== 'string') return identityInWords(given, form);
  const parts = given.split('+');
  const together =
    parts.length <= MOST_PARTS && parts.every((part) => KIND_AND_VALUE.test(part) || part === 'global');
  return (together ? parts : [given]).map((part) => onePart(part, form)).join('+');
}
