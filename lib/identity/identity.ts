import { escapeValue, unescapeValue } from '../core/escape.js';
import type { AddressNormalizer } from './addresses.js';
import type { Hasher } from './hash.js';
import { formatIdentity, hashedAlready, isValueLocation, valueInWords } from './key-forms.js';

const HASHED_VALUE = /^~[A-Za-z0-9_-]{22}$/;

/** `ip` of `ip:203.0.113.7`; all of what has one value alone. */
export function identityKind(identity: string): string {
  const end = identity.indexOf(':');
  return end < 0 ? identity : identity.slice(0, end);
}

/** How identities are written where they are given by hand. */
export interface IdentityFormat {
  readonly hash: Hasher;
  readonly address: AddressNormalizer;
}

/** More are charged together by no key, but a client can write any number of them. */
const MAX_COMPONENTS = 8;

const KIND_AND_VALUE = /^([A-Za-z][\w-]*):(.+)$/s;

/** An identity in words, as an application has it: `user:a+b@example.org`, or several that are charged together. */
export type IdentityInput = string | readonly string[];

/** The address of an identity `ip:...`, which may be one already that keys have written, with its prefix. */
const parseAddress = (value: string, address: AddressNormalizer): string =>
  address(value.includes('/') ? value.replace(/\/\d{1,3}$/, '') : value) ?? escapeValue(value);

const KIND = /^[A-Za-z][\w-]*$/;

function formatComponent(text: string, format: IdentityFormat): string {
  // At each call of a limiter, so not by an expression that takes the text apart.
  const end = text.indexOf(':');
  const kind = text.slice(0, Math.max(0, end));
  const value = text.slice(end + 1);
  if (value === '' || !KIND.test(kind)) return escapeValue(text);
  if (kind === 'ip') {
    const address = parseAddress(value, format.address);
    // The text itself where it can be: a new one has to be hashed again to find its bucket.
    return address === value ? text : `ip:${address}`;
  }
  return isValueLocation(kind)
    ? valueInWords(kind, value, format.hash)
    : formatIdentity(kind, value, format.hash);
}

/**
 * An identity in words as keys write it, so that it meets what routes have charged: `ip:2001:db8::1` is
 * `ip:2001:db8::/64`, `user:a+b@example.org` is `user:a%2Bb@example.org`. No two come out alike.
 */
export const identityFromInput = (input: IdentityInput, format: IdentityFormat): string =>
  typeof input === 'string'
    ? formatComponent(input, format)
    : input.map((text) => formatComponent(text, format)).join('+');

function parseComponent(component: string, format: IdentityFormat): string {
  const [, kind, value] = KIND_AND_VALUE.exec(component) ?? [];
  if (kind === undefined || value === undefined) return formatComponent(unescapeValue(component), format);
  if (HASHED_VALUE.test(value)) return component;
  const hashed = isValueLocation(kind) ? hashedAlready(kind, value) : undefined;
  return hashed ?? formatComponent(unescapeValue(component), format);
}

/** An identity in words, or one that keys have written already: what an operator has at hand. */
export function normalizeIdentity(input: IdentityInput, format: IdentityFormat): string {
  if (typeof input !== 'string') return identityFromInput(input, format);
  const components = input.split('+');
  const isJoined =
    components.length <= MAX_COMPONENTS &&
    components.every((component) => KIND_AND_VALUE.test(component) || component === 'global');
  return (isJoined ? components : [input]).map((component) => parseComponent(component, format)).join('+');
}
