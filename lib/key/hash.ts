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

/** How a store's identities are hashed. */
export interface Hashing {
  readonly hash: Hash;
  /** Whether nobody can tell a hashed value by trying values. */
  readonly keepsSecrets: boolean;
}

/** Where nothing is secret, but several processes have to agree. */
const KNOWN_TO_ALL = 'nestjs-ratelimit';

/**
 * The hashing under `secret`, if there is one; else a shared store's processes hash alike, but not in
 * secret, and any other one hashes as nobody else does.
 */
export const hashingFor = (secret: string | undefined, isShared: boolean): Hashing =>
  secret === undefined && isShared
    ? { hash: hashUnder(KNOWN_TO_ALL), keepsSecrets: false }
    : { hash: hashUnder(secret), keepsSecrets: true };
