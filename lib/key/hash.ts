import { createHmac, randomBytes } from 'node:crypto';

/** Turns a value into a short text from which it cannot be told without the secret. */
export type Hash = (value: string) => string;

// 22 characters of base64url carry 132 bits.
const KEPT_CHARACTERS = 22;

/** HMAC-SHA-256 under `secret`; without one, under a secret that lives as long as this process. */
export function hashUnder(secret: string | undefined): Hash {
  const key = secret ?? randomBytes(32);
  return (value) => createHmac('sha256', key).update(value).digest('base64url').slice(0, KEPT_CHARACTERS);
}
