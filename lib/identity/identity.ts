import { escapeValue, unescapeValue } from '../core/escape.js';
import { findKeyForm, formatValue, type IdentityFormat } from './key-forms.js';

/** An identity as an application writes it: `user:a+b@example.org`, or several that are charged together. */
export type IdentityInput = string | readonly string[];

/** Returns the part of an identity before its first colon, such as `ip`; all of `global`. */
export function identityKind(identity: string): string {
  const end = identity.indexOf(':');
  return end < 0 ? identity : identity.slice(0, end);
}

/** No key charges more identities together, but a client can write any number of them. */
const MAX_COMPONENTS = 8;

const KIND = /^[A-Za-z][\w-]*$/;
const HASHED_VALUE = /^~[A-Za-z0-9_-]{22}$/;

function normalizeComponent(text: string, format: IdentityFormat, acceptCanonical: boolean): string {
  // Not by one regular expression that takes the text apart: this runs at each call of a limiter.
  const end = Math.max(0, text.indexOf(':'));
  const kind = text.slice(0, end);
  const value = text.slice(end + 1);
  if (value === '' || !KIND.test(kind)) return escapeValue(acceptCanonical ? unescapeValue(text) : text);
  const form = findKeyForm(kind);
  if (acceptCanonical) {
    if (HASHED_VALUE.test(value)) return text;
    const hashed = form?.parseHashed?.(value);
    if (hashed !== undefined) return `${kind}:${hashed}`;
  }
  const plain = acceptCanonical ? unescapeValue(value) : value;
  const normalized = form === undefined ? formatValue(plain, format.hash) : form.parse(plain, format);
  // The text itself where possible: a new string has to be hashed again to find its bucket.
  return normalized === value ? text : `${kind}:${normalized}`;
}

const COMPONENT = /^(?:[A-Za-z][\w-]*:.|global$)/s;

/** Splits an identity at its `+`, unless that is a part of a value that somebody has typed. */
function splitComponents(text: string): readonly string[] {
  const components = text.split('+');
  return components.length <= MAX_COMPONENTS && components.every((component) => COMPONENT.test(component))
    ? components
    : [text];
}

/**
 * Returns an identity in the form in which keys write it, so that it meets what routes have charged:
 * `ip:2001:db8::1` becomes `ip:2001:db8::/64`, `user:a+b@example.org` becomes `user:a%2Bb@example.org`. Two
 * inputs never become the same identity unless they mean the same.
 *
 * @param options `acceptCanonical` also takes a text that is in that form already, as an operator copies it from a log:
 *   with hashes, escapes, and `+` between identities that are charged together.
 */
export function normalizeIdentity(
  input: IdentityInput,
  format: IdentityFormat,
  { acceptCanonical }: { readonly acceptCanonical: boolean },
): string {
  if (typeof input !== 'string')
    return input.map((text) => normalizeComponent(text, format, false)).join('+');
  if (!acceptCanonical) return normalizeComponent(input, format, false);
  return splitComponents(input)
    .map((component) => normalizeComponent(component, format, true))
    .join('+');
}
