import type { Clock } from '../../core/clock.js';
import { configError, describeValue } from '../../core/errors.js';
import { isObject, type OptionRules, oneOf, validateOptions } from '../../core/validate.js';
import type { RedisDriver } from './driver.js';
import { isClient, OwnIoredisDriver, type RedisClient, type RedisOptions, wrapClient } from './ioredis.js';

export type { RedisClient };

/** Settings of a {@link RedisStore}, whether it makes its client or is given one. */
export interface RedisStoreSettings {
  /** Prefix of all keys. Applications with the same prefix on the same server share limits. Default `ratelimit`. */
  readonly prefix?: string | undefined;
  /**
   * Secret to hash header values and long identities with, the same in every process.
   * Default: the module's `secret`.
   */
  readonly secret?: string | undefined;
  /**
   * `'one-slot'` keeps all keys in one slot of a Cluster, so that a request with several identities is decided in
   * one call; a single node then decides everything. Default: a slot for each identity.
   */
  readonly cluster?: 'one-slot' | undefined;
  /** For tests: decides by this clock instead of the server's. */
  readonly clock?: Clock | undefined;
}

/** Options of a {@link RedisStore} that makes its own client: a URL, or any options of ioredis, or both. */
export interface RedisStoreOptions extends RedisOptions, RedisStoreSettings {
  /** `redis://`, or `rediss://` for TLS. */
  readonly url?: string | undefined;
}

// A brace would start a hash tag; white space would be awkward in shells and logs.
const PREFIX = /^[^\s{}]+$/;

const SETTINGS_RULES: OptionRules<keyof RedisStoreSettings> = {
  prefix: {
    accepts: (value) => typeof value === 'string' && PREFIX.test(value),
    fix: 'Give a prefix without white space and braces, such as shop:ratelimit.',
  },
  secret: null,
  cluster: oneOf('one-slot'),
  clock: null,
};

const ENDPOINT_OPTIONS = ['url', 'host', 'port', 'path', 'sentinels'];

/** Throws `bad-option` for options that would silently mean a server on this machine. */
function checkOptions(options: unknown): void {
  const client = isObject(options) && Object.entries(options).find(([, value]) => isClient(value))?.[0];
  if (client) {
    throw configError(
      'bad-option',
      `RedisStore: its options contain a client, as ${client}.`,
      'Pass the client itself: new RedisStore(client).',
    );
  }
  if (isObject(options) && !('sendCommand' in options)) {
    const names = ENDPOINT_OPTIONS.filter((name) => name in options);
    const isUnset =
      names.length > 0 && names.every((name) => (options as Record<string, unknown>)[name] === undefined);
    if (!isUnset) return;
    throw configError(
      'bad-option',
      `RedisStore: no value for ${names.join(', ')}.`,
      'Set it, or leave it out to use a server on this machine.',
    );
  }
  throw configError(
    'bad-option',
    `RedisStore: ${describeValue(options)} is neither a client nor options for one.`,
    `Give { url: 'redis://...' }, options of ioredis, or a client of ioredis.`,
  );
}

/** Chooses the driver for a client, or for options of one, and returns it with the settings of the store. */
export function resolveOptions(
  from: RedisStoreOptions | RedisClient,
  clientSettings: RedisStoreSettings,
): { readonly driver: RedisDriver; readonly settings: RedisStoreSettings } {
  let driver: RedisDriver;
  let settings = clientSettings;
  if (isClient(from)) driver = wrapClient(from);
  else {
    checkOptions(from);
    const { url, prefix, secret, cluster, clock, ...options } = from;
    driver = new OwnIoredisDriver(url, options);
    settings = { prefix, secret, cluster, clock };
  }
  validateOptions(settings, SETTINGS_RULES, 'RedisStore');
  return { driver, settings };
}
