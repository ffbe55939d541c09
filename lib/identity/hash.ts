import { createHmac, randomBytes } from 'node:crypto';

/** Returns a short text from which the value cannot be found without the secret. */
export type Hasher = (value: string) => string;

// 22 characters of base64url carry 132 bits.
const HASH_LENGTH = 22;

/** Creates a hasher: HMAC-SHA-256 with `secret`, or with a random key that lives as long as this process. */
export function createHasher(secret: string | undefined): Hasher {
  const key = secret ?? randomBytes(32);
  return (value) => createHmac('sha256', key).update(value).digest('base64url').slice(0, HASH_LENGTH);
}

/** The hashing of a store's identities. */
export interface IdentityHashing {
  readonly hash: Hasher;
  /** True when the key is secret, so that nobody can find a hashed value by trying values. */
  readonly isKeyed: boolean;
}

/** The key when there is no secret, but several processes have to agree. */
const PUBLIC_KEY = 'nestjs-ratelimit';

/**
 * Returns the hashing with `secret`. Without a secret, the processes of a shared store use a key that anybody
 * knows, and the process of any other store uses a key of its own.
 */
export const hashingFor = (secret: string | undefined, isShared: boolean): IdentityHashing =>
  secret === undefined && isShared
    ? { hash: createHasher(PUBLIC_KEY), isKeyed: false }
    : { hash: createHasher(secret), isKeyed: true };
