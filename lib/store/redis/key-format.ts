import { configError, describeValue } from '../../core/errors.js';

// Ends where a hash tag would begin, and nothing that a shell or a log trips over.
const PREFIX = /^[^\s{}]+$/;

/** What keys begin with unless the store is told otherwise. */
export const DEFAULT_PREFIX = 'ratelimit';

/** Names the hash of an identity, which holds all of its buckets. */
export type KeyFormat = (identity: string) => string;

/**
 * Keys of the form `prefix:{identity}`. One key an identity is one slot of a Cluster, moves to another
 * node as a whole, and is forgotten as a whole.
 *
 * @param oneSlot Whether all identities are to share a slot.
 * @throws RateLimitConfigError `bad-option` for a prefix with white space or braces.
 */
export function keyFormat(prefix: string, oneSlot: boolean): KeyFormat {
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) {
    throw configError(
      'bad-option',
      `RedisStore cannot put ${describeValue(prefix)} before its keys.`,
      'Give a prefix without white space and braces, such as shop:ratelimit.',
    );
  }
  return oneSlot ? (identity) => `{${prefix}}:${identity}` : (identity) => `${prefix}:{${identity}}`;
}
