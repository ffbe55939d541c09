import { Redis, type RedisOptions } from 'ioredis';

/** What the store asks of a client: a `Redis` or a `Cluster` of ioredis 5 or 6. */
export interface RedisClient {
  readonly isCluster?: boolean;
  readonly options: {
    readonly autoResendUnfulfilledCommands?: boolean | undefined;
    readonly maxRetriesPerRequest?: number | null | undefined;
    /** Of a `Cluster`. */
    readonly retryDelayOnFailover?: number | undefined;
  };
  defineCommand(name: string, definition: { readonly lua: string }): void;
}

/** Whether a value is a client rather than options for one. */
export const isClient = (value: object): value is RedisClient =>
  'defineCommand' in value && typeof value.defineCommand === 'function';

const RECONNECT_WITHIN_MS = 500;

/**
 * The settings of our own client: a command is sent once or not at all, so that no charge is made twice
 * and none is kept waiting for a server that is away.
 */
const OWN: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 2_000,
  // A server that has gone silent stays connected, though it may be gone for good.
  socketTimeout: 2_000,
  retryStrategy: (attempt) => Math.min(50 * attempt, RECONNECT_WITHIN_MS),
  // After a failover the server that we know may have become a replica: connect anew, to the one that leads.
  // Redis 6 names the script first.
  reconnectOnError: (error) => /\bREADONLY\b/.test(error.message),
};

/** A client, and what the store may do to it. */
export interface Connection {
  readonly client: RedisClient;
  /** Comes when it has connected for the first time, or failed to. */
  readonly opening: Promise<void>;
  /** Ends a client of ours; does nothing to another one. */
  end(): void;
}

/** A client of our own, by URL, by options of ioredis, or by both. */
export function connect(url: string | undefined, options: RedisOptions): Connection {
  const settings = { ...OWN, ...options, lazyConnect: false };
  const client = url === undefined ? new Redis(settings) : new Redis(url, settings);
  // Each failed decision tells of it; without a listener ioredis would print every attempt to reconnect.
  client.on('error', () => undefined);
  const opening = new Promise<void>((resolve) => {
    client.once('ready', resolve);
    client.once('close', resolve);
  });
  return { client, opening, end: () => client.disconnect() };
}

/** What a client has to be told so that a request on a lost connection is neither sent again nor left waiting. */
function missingIn({ isCluster, options }: RedisClient): string | null {
  if (isCluster) return options.retryDelayOnFailover === 0 ? null : 'retryDelayOnFailover: 0';
  // The second, since ioredis forgets unanswered commands that it does not send again.
  return options.autoResendUnfulfilledCommands === false && options.maxRetriesPerRequest === 0
    ? null
    : 'autoResendUnfulfilledCommands: false and maxRetriesPerRequest: 0';
}

/** A client of the application's. */
export function adopt(client: RedisClient): Connection {
  const missing = missingIn(client);
  if (missing !== null) {
    process.emitWarning(
      `When the client given to RedisStore loses its connection, a request may be charged twice or never be answered. Make it with ${missing}.`,
      { type: 'RateLimitWarning' },
    );
  }
  return { client, opening: Promise.resolve(), end: () => undefined };
}
