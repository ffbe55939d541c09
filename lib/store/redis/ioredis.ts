import { Redis, type RedisOptions } from 'ioredis';
import { configError, describeValue } from '../../core/errors.js';

/** What the store asks of a client: a `Redis` or a `Cluster` of ioredis 5 or 6. */
export interface RedisClient {
  readonly isCluster?: boolean;
  readonly options: {
    readonly autoResendUnfulfilledCommands?: boolean | undefined;
    readonly maxRetriesPerRequest?: number | null | undefined;
    /** Of a `Cluster`. */
    readonly retryDelayOnFailover?: number | undefined;
  };
  /** Of a `Cluster`: the nodes of each slot, the master first, as `host:port`. */
  readonly slots?: readonly (readonly string[] | undefined)[];
  defineCommand(name: string, definition: { readonly lua: string }): void;
  on(event: 'ready', listener: () => void): unknown;
  off(event: 'ready', listener: () => void): unknown;
}

/** Whether a value is a client rather than options for one. */
export const isClient = (value: unknown): value is RedisClient =>
  typeof (value as Partial<RedisClient> | null | undefined)?.defineCommand === 'function';

const ENDPOINT_OPTIONS = ['url', 'host', 'port', 'path', 'sentinels'];

/** Throws `bad-option` for what would silently be a server on this machine. */
export function checkOptions(options: unknown): void {
  const isObject = typeof options === 'object' && options !== null;
  const client = isObject && Object.entries(options).find(([, value]) => isClient(value))?.[0];
  if (client) {
    throw configError(
      'bad-option',
      `RedisStore was given a client within its options, as ${client}.`,
      'Give the client itself: new RedisStore(client).',
    );
  }
  if (isObject && !('sendCommand' in options)) {
    const given = ENDPOINT_OPTIONS.filter((name) => name in options);
    const isUnset =
      given.length > 0 && given.every((name) => (options as Record<string, unknown>)[name] === undefined);
    if (!isUnset) return;
    throw configError(
      'bad-option',
      `RedisStore was given ${given.join(', ')} without a value.`,
      'Set it, or leave it out for a server on this machine.',
    );
  }
  throw configError(
    'bad-option',
    `RedisStore cannot be made of ${describeValue(options)}.`,
    `Give { url: 'redis://...' }, options of ioredis, or a client of ioredis.`,
  );
}

const RECONNECT_WITHIN_MS = 250;
/** Decisions wait no longer than this for the first connection. */
const OPENING_MS = 2_000;

/**
 * The settings of our own client: a command is sent once or not at all, so that no charge is made twice
 * and none is kept waiting for a server that is away.
 */
const OWN_CLIENT_OPTIONS: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: OPENING_MS,
  // Else a connection that has been lost already keeps the process alive for two seconds more.
  disconnectTimeout: 50,
  // A server that has gone silent stays connected, though it may be gone for good.
  socketTimeout: 1_000,
  retryStrategy: (attempt) => Math.min(50 * attempt, RECONNECT_WITHIN_MS),
  // After a failover the server that we know may have become a replica: connect anew, to the one that leads.
  // Redis 6 names the script first.
  reconnectOnError: (error) => /\bREADONLY\b/.test(error.message),
};

/** A client, and what the store may do to it. */
export interface RedisDriver {
  readonly client: RedisClient;
  /** Connects, the first time; comes when that is done or has failed, and is null from then on. */
  open(): Promise<void> | null;
  /** Calls `listener` whenever it has connected. */
  onReady(listener: () => void): void;
  /** What a failed command is due to. */
  describeError(error: unknown): unknown;
  /** Ends a client of ours; does nothing to another one. */
  close(): void;
}

/** A client of our own, by URL, by options of ioredis, or by both. */
export class IoredisDriver implements RedisDriver {
  readonly client: Redis;
  #state: 'new' | 'opening' | 'open' = 'new';
  #opening: Promise<void> | null = null;
  #error: (Error & { readonly code?: string }) | undefined;

  constructor(url: string | undefined, options: RedisOptions) {
    // Not before it is asked for: a store may be made and never used, as where a test puts another in its place.
    const settings = { ...OWN_CLIENT_OPTIONS, ...options, lazyConnect: true };
    this.client = url === undefined ? new Redis(settings) : new Redis(url, settings);
    // Without a listener ioredis would print every attempt to reconnect.
    this.client.on('error', (error) => {
      this.#error = error;
    });
    this.client.on('ready', () => {
      this.#error = undefined;
    });
  }

  open(): Promise<void> | null {
    if (this.#state !== 'new') return this.#opening;
    this.#state = 'opening';
    this.#opening = this.#connect().then(() => this.#opened());
    return this.#opening;
  }

  onReady(listener: () => void): void {
    this.client.on('ready', listener);
  }

  describeError(error: unknown): unknown {
    if (this.client.status === 'ready' || this.#error === undefined) return error;
    // Node leaves the message empty when several addresses refuse.
    const { message, code } = this.#error;
    return new Error(`There is no connection to Redis: ${message || code}.`, { cause: this.#error });
  }

  close(): void {
    this.#opened();
    this.client.disconnect();
  }

  #opened(): void {
    this.#state = 'open';
    this.#opening = null;
  }

  async #connect(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      // Sentinels that are away are asked again and again within one attempt, which tells of errors alone.
      for (const event of ['ready', 'error', 'close', 'end']) this.client.once(event, () => resolve());
      timer = setTimeout(resolve, OPENING_MS).unref();
      this.client.connect().catch(() => undefined);
    });
    clearTimeout(timer);
  }
}

/** What a client has to be told so that a request on a lost connection is neither sent again nor left waiting. */
function missingOptions({ isCluster, options }: RedisClient): string | null {
  if (isCluster) return options.retryDelayOnFailover === 0 ? null : 'retryDelayOnFailover: 0';
  // The second, since ioredis forgets unanswered commands that it does not send again.
  return options.autoResendUnfulfilledCommands === false && options.maxRetriesPerRequest === 0
    ? null
    : 'autoResendUnfulfilledCommands: false and maxRetriesPerRequest: 0';
}

/** A client of the application's. */
export function wrapClient(client: RedisClient): RedisDriver {
  const missing = missingOptions(client);
  if (missing !== null) {
    process.emitWarning(
      `When the client given to RedisStore loses its connection, a request may be charged twice or never be answered. Make it with ${missing}.`,
      { type: 'RateLimitWarning' },
    );
  }
  const listeners: (() => void)[] = [];
  return {
    client,
    open: () => null,
    onReady(listener) {
      listeners.push(listener);
      client.on('ready', listener);
    },
    describeError: (error) => error,
    close() {
      for (const listener of listeners) client.off('ready', listener);
    },
  };
}
