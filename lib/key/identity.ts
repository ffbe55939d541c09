import { escapeValue, unescapeValue } from '../core/escape.js';
import type { AddressForm } from './address.js';
import type { Hash } from './hash.js';

// A longer value is kept as its hash alone: an attacker chooses how long it is.
const LONGEST_VALUE = 64;

const HASHED_VALUE = /^~[A-Za-z0-9_-]{22}$/;

/** `kind:value` with the value escaped, or hashed behind a `~` when it is long. */
export const identityOf = (kind: string, value: string, hash: Hash): string =>
  value.length > LONGEST_VALUE ? `${kind}:~${hash(value)}` : `${kind}:${escapeValue(value)}`;

/** How identities are written where they are given by hand. */
export interface IdentityForm {
  readonly hash: Hash;
  readonly address: AddressForm;
}

const KIND_AND_VALUE = /^([A-Za-z][\w-]*):(.+)$/s;

function onePart(part: string, { hash, address }: IdentityForm): string {
  const [, kind, value] = KIND_AND_VALUE.exec(part) ?? [];
  if (kind === undefined || value === undefined) return escapeValue(unescapeValue(part));
  if (HASHED_VALUE.test(value)) return part;
  if (kind === 'ip') return `ip:${address(value) ?? value}`;
  return identityOf(kind, unescapeValue(value), hash);
}

/**
 * An identity given by hand as keys write it, whether its value is escaped already or not:
 * `ip:2001:db8::1` is `ip:2001:db8::/64`, `user:a+b@example.org` is `user:a%2Bb@example.org`.
 */
export function writtenIdentity(text: string, form: IdentityForm): string {
  const parts = text.split('+');
  const together = parts.every((part) => KIND_AND_VALUE.test(part) || part === 'global');
  return (together ? parts : [text]).map((part) => onePart(part, form)).join('+');
}
