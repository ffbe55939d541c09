// The package brings no types.
/// <reference path="./cluster-key-slot.d.ts" />
import { createHash } from 'node:crypto';
import slotOf from 'cluster-key-slot';
import { Redis, type RedisOptions } from 'ioredis';
import type { RedisDriver, ScriptName } from './driver.js';
import { SCRIPTS } from './scripts.gen.js';

/** A `Redis` or a `Cluster` of ioredis 5 or 6, as far as the store uses it. */
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

export type { RedisOptions };

/** Tells a client from options for one. */
export const isClient = (value: unknown): value is RedisClient =>
  typeof (value as Partial<RedisClient> | null | undefined)?.defineCommand === 'function';

type Command = (keyCount: number, ...args: (string | number | Buffer)[]) => Promise<unknown>;

/** Defines our scripts as commands: the client then loads them, and loads them again if a server has lost them. */
function defineScripts(client: RedisClient): Readonly<Record<ScriptName, Command>> {
  const commands = Object.entries(SCRIPTS).map(([script, lua]) => {
    // The hash keeps the scripts of two versions of this library apart on one client.
    const name = `ratelimit_${script}_${createHash('sha1').update(lua).digest('hex').slice(0, 8)}`;
    client.defineCommand(name, { lua });
    const command = (client as unknown as Record<string, Command>)[`${name}Buffer`] as Command;
    return [script, command.bind(client)];
  });
  return Object.fromEntries(commands) as Record<ScriptName, Command>;
}

/** Drives a client of the application. */
export class IoredisDriver<Client extends RedisClient = RedisClient> implements RedisDriver {
  readonly shardOf: ((key: string) => string) | undefined;
  readonly #commands: Readonly<Record<ScriptName, Command>>;
  readonly #listeners: (() => void)[] = [];

  constructor(readonly client: Client) {
    if (client.isCluster) this.shardOf = (key) => client.slots?.[slotOf(key)]?.[0] ?? '';
    this.#commands = defineScripts(client);
  }

  evaluate(
    script: ScriptName,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    return this.#commands[script](keys.length, ...keys, ...args);
  }

  onReady(listener: () => void): void {
    this.#listeners.push(listener);
    this.client.on('ready', listener);
  }

  open(): void | Promise<void> {}

  close(): void {
    for (const listener of this.#listeners) this.client.off('ready', listener);
  }
}

/** Names the options that keep a client from sending a request again after a lost connection, or never settling it. */
function missingOptions({ isCluster, options }: RedisClient): string | null {
  if (isCluster) return options.retryDelayOnFailover === 0 ? null : 'retryDelayOnFailover: 0';
  // The second one too: ioredis forgets unanswered commands that it does not send again.
  return options.autoResendUnfulfilledCommands === false && options.maxRetriesPerRequest === 0
    ? null
    : 'autoResendUnfulfilledCommands: false and maxRetriesPerRequest: 0';
}

/** Drives a client of the application; warns if its options make limits unreliable. */
export function wrapClient(client: RedisClient): RedisDriver {
  const missing = missingOptions(client);
  if (missing !== null) {
    process.emitWarning(
      `RedisStore: when its client loses the connection, a request may be charged twice or never be answered. Create the client with ${missing}.`,
      { type: 'RateLimitWarning' },
    );
  }
  return new IoredisDriver(client);
}

const MAX_RECONNECT_DELAY_MS = 250;
/** Decisions wait no longer than this for the first connection. */
const OPENING_MS = 2_000;

/**
 * Options of our own client. A command is sent once or not at all, so that no charge is made twice and none is
 * kept waiting for a server that is down.
 */
const OWN_CLIENT_OPTIONS: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: OPENING_MS,
  // Otherwise a connection that is already lost keeps the process alive for two more seconds.
  disconnectTimeout: 50,
  // A server that has gone silent stays connected, although it may be gone for good.
  socketTimeout: 1_000,
  retryStrategy: (attempt) => Math.min(50 * attempt, MAX_RECONNECT_DELAY_MS),
  // After a failover the server may have become a replica: reconnect to the one that leads.
  // Redis 6 puts the script's name first.
  reconnectOnError: (error) => /\bREADONLY\b/.test(error.message),
};

/** Drives a client of its own, which connects when it is first needed. */
export class OwnIoredisDriver extends IoredisDriver<Redis> {
  #state: 'new' | 'opening' | 'open' = 'new';
  #opening: Promise<void> | undefined;
  #error: (Error & { readonly code?: string }) | undefined;

  constructor(url: string | undefined, options: RedisOptions) {
    // A store may be made and never used, for example when a test puts another one in its place.
    const settings = { ...OWN_CLIENT_OPTIONS, ...options, lazyConnect: true };
    const client = url === undefined ? new Redis(settings) : new Redis(url, settings);
    super(client);
    // Without a listener ioredis would print every attempt to reconnect.
    client.on('error', (error) => {
      this.#error = error;
    });
    client.on('ready', () => {
      this.#error = undefined;
    });
  }

  override async evaluate(...call: Parameters<IoredisDriver['evaluate']>): Promise<unknown> {
    if (this.#state !== 'open') await this.open();
    try {
      return await super.evaluate(...call);
    } catch (error) {
      throw this.#describeError(error);
    }
  }

  override open(): void | Promise<void> {
    if (this.#state === 'new') {
      this.#state = 'opening';
      this.#opening = this.#connect().then(() => this.#onOpened());
    }
    return this.#opening;
  }

  override close(): void {
    this.#onOpened();
    this.client.disconnect();
  }

  /** Returns why there is no connection, if that is why a command failed. */
  #describeError(error: unknown): unknown {
    if (this.client.status === 'ready' || this.#error === undefined) return error;
    // Node leaves the message empty when several addresses refuse.
    const { message, code } = this.#error;
    return new Error(`Not connected to Redis: ${message || code}.`, { cause: this.#error });
  }

  #onOpened(): void {
    this.#state = 'open';
    this.#opening = undefined;
  }

  async #connect(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      // While Sentinels are down, one attempt asks them again and again and emits only errors.
      for (const event of ['ready', 'error', 'close', 'end']) this.client.once(event, () => resolve());
      timer = setTimeout(resolve, OPENING_MS).unref();
      this.client.connect().catch(() => undefined);
    });
    clearTimeout(timer);
  }
}
