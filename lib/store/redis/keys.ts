import { mistake } from '../../core/errors.js';
import { shown } from '../../core/shown.js';

// Ends where a hash tag would begin, and nothing that a shell or a log trips over.
const PREFIX = /^[^\s{}]+$/;

/** What keys begin with unless the store is told otherwise. */
export const DEFAULT_PREFIX = 'ratelimit';

/** Names the hash of an identity, which holds all of its buckets. */
export type KeyOf = (identity: string) => string;

/**
 * Keys of the form `prefix:{identity}`. One key an identity is one slot of a Cluster, moves to another
 * node as a whole, and is forgotten as a whole.
 *
 * @param oneSlot Whether all identities are to share a slot.
 * @throws RateLimitConfigError `bad-option` for a prefix with white space or braces.
 */
export function keysUnder(prefix: string, oneSlot: boolean): KeyOf {
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) {
    throw mistake(
      'bad-option',
      `RedisStore cannot put ${shown(prefix)} before its keys.`,
      'Give a prefix without white space and braces, such as shop:ratelimit.',
    );
  }
  return oneSlot ? (identity) => `{${prefix}}:${identity}` : (identity) => `${prefix}:{${identity}}`;
}
