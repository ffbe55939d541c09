import { createHmac, randomBytes } from 'node:crypto';

/** Turns a value into a short text from which it cannot be told without the secret. */
export type Hasher = (value: string) => string;

// 22 characters of base64url carry 132 bits.
const HASH_LENGTH = 22;

/** HMAC-SHA-256 under `secret`; without one, under a secret that lives as long as this process. */
export function createHasher(secret: string | undefined): Hasher {
  const key = secret ?? randomBytes(32);
  return (value) => createHmac('sha256', key).update(value).digest('base64url').slice(0, HASH_LENGTH);
}

/** How a store's identities are hashed. */
export interface IdentityHashing {
  readonly hash: Hasher;
  /** Whether nobody can tell a hashed value by trying values. */
  readonly isKeyed: boolean;
}

/** Where nothing is secret, but several processes have to agree. */
const PUBLIC_KEY = 'nestjs-ratelimit';

/**
 * The hashing under `secret`, if there is one; else a shared store's processes hash alike, but not in
 * secret, and any other one hashes as nobody else does.
 */
export const hashingFor = (secret: string | undefined, isShared: boolean): IdentityHashing =>
  secret === undefined && isShared
    ? { hash: createHasher(PUBLIC_KEY), isKeyed: false }
    : { hash: createHasher(secret), isKeyed: true };
