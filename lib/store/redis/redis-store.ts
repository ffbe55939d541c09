import type { RedisOptions } from 'ioredis';
import type { Clock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import { configError, describeValue } from '../../core/errors.js';
import { escapeSegment } from '../../core/escape.js';
import type { SharedCounters } from '../shared-counters.js';
import type { Store, StoreReply, StoreTarget } from '../store.js';
import { Batcher } from './batcher.js';
import { consumeAcrossSlots, hasOneIdentity, masterOfSlot, peekAcrossSlots } from './cluster.js';
import { Commands } from './commands.js';
import { DenialCache, type SendToken } from './denial-cache.js';
import {
  checkOptions,
  IoredisDriver,
  isClient,
  type RedisClient,
  type RedisDriver,
  wrapClient,
} from './ioredis.js';
import { DEFAULT_PREFIX, type KeyFormat, keyFormat } from './key-format.js';
import { type Decisions, encodeConsume, encodeRefund, type Mode, parseReply } from './protocol.js';
import { RedisCounters } from './shared-counters.js';

/** Settings of a {@link RedisStore}, whoever makes its client. */
export interface RedisStoreSettings {
  /** What all of its keys begin with. Applications with the same prefix on the same server share limits. Default `ratelimit`. */
  readonly prefix?: string | undefined;
  /**
   * Under what header values and long identities are hashed: the same to every process of the fleet.
   * Default: the module's `secret`.
   */
  readonly secret?: string | undefined;
  /**
   * `'one-slot'`: all keys in one slot of a Cluster, so that a request with several identities is decided in
   * one call, at the price that one node decides everything. Default: a slot for each identity.
   */
  readonly cluster?: 'one-slot' | undefined;
  /** For tests: decides by this clock in place of the server's. */
  readonly clock?: Clock | undefined;
}

/** How a {@link RedisStore} makes a client of its own: a URL, or any options of ioredis, or both. */
export interface RedisStoreOptions extends RedisOptions, RedisStoreSettings {
  /** `redis://`, or `rediss://` for TLS. */
  readonly url?: string | undefined;
}

/**
 * Keeps buckets in Redis 6.2 or later, or Valkey, for a whole fleet: every limit of a request is decided in
 * one atomic call, by the server's clock.
 *
 * Give a URL or options of ioredis, and the client closes with the application; or give a client of your
 * own, `Redis` or `Cluster`, which is left open.
 *
 * @throws RateLimitConfigError `bad-option` for a prefix or a `cluster` that cannot be meant.
 * @example
 * RateLimitModule.forRoot({ store: new RedisStore({ url: 'redis://localhost:6379' }), scopes: { login: '5/15min' } });
 * @example
 * new RedisStore(new Cluster(nodes), { prefix: 'shop' });
 */
export class RedisStore implements Store {
  readonly shared = true;
  readonly secret: string | undefined;
  /** Of a Cluster: the node that leads the slot of an identity, as `host:port`. */
  readonly shardOf?: (identity: string) => string;
  readonly counters: SharedCounters;
  readonly #driver: RedisDriver;
  readonly #commands: Commands;
  readonly #keyOf: KeyFormat;
  readonly #clock: Clock | undefined;
  /** Whether identities are in slots of their own. */
  readonly #isCluster: boolean;
  readonly #batcher: Batcher<SendToken>;
  readonly #denials: DenialCache;

  constructor(options: RedisStoreOptions);
  constructor(client: RedisClient, settings?: RedisStoreSettings);
  constructor(from: RedisStoreOptions | RedisClient, settings: RedisStoreSettings = {}) {
    const given = isClient(from) ? { driver: wrapClient(from), settings } : createOwn(from);
    const { prefix = DEFAULT_PREFIX, secret, cluster, clock } = given.settings;
    if (cluster !== undefined && cluster !== 'one-slot') {
      throw configError(
        'bad-option',
        `RedisStore cannot take cluster: ${describeValue(cluster)}.`,
        `Give 'one-slot', or leave it out.`,
      );
    }
    this.#keyOf = keyFormat(prefix, cluster === 'one-slot');
    this.#driver = given.driver;
    const { client } = this.#driver;
    this.secret = secret;
    this.#clock = clock;
    this.#isCluster = client.isCluster === true && cluster !== 'one-slot';
    if (client.isCluster) this.shardOf = (identity) => masterOfSlot(client, this.#keyOf(identity));
    this.#commands = new Commands(client);
    this.counters = new RedisCounters((...call) => this.#run(...call), this.#keyOf);
    // Parts of a millisecond too: a wait that is told must not be shorter than it is.
    this.#denials = new DenialCache(clock === undefined ? () => performance.now() : () => clock.now());
    this.#batcher = new Batcher((requests) => this.#ask(requests, 'consume'), this.#denials);
  }

  /** Connects a client of its own; the first decision would do so too. */
  async open(): Promise<void> {
    await this.#driver.open();
  }

  onReady(listener: () => void): void {
    this.#driver.onReady(listener);
  }

  consume(charges: readonly Charge[]): StoreReply | Promise<StoreReply> {
    const isOneCall = !this.#isCluster || hasOneIdentity(charges);
    if (isOneCall && !this.#denials.mayContain(charges)) return this.#batch(charges, true);
    const decided = this.#denials.getOrFetch(charges, () => this.#decide(charges));
    return decided instanceof Promise ? decided.then(replyOf) : replyOf(decided);
  }

  async peek(charges: readonly Charge[]): Promise<StoreReply> {
    const one = (group: readonly Charge[], mode: Mode) => this.#askOne(group, mode);
    const isApart = this.#isCluster && !hasOneIdentity(charges);
    return replyOf(await (isApart ? peekAcrossSlots(charges, one) : one(charges, 'peek')));
  }

  async refund(decisions: readonly Decision[]): Promise<void> {
    const charged = decisions.filter(({ receipt }) => receipt !== null);
    await this.#refundAll(charged);
    // Only now, since denials may have been decided meanwhile.
    for (const { charge } of charged) this.#denials.invalidate(charge.identity);
  }

  async reset({ identity, scope }: StoreTarget): Promise<void> {
    const fields = scope === undefined ? '' : `${escapeSegment(scope)}:`;
    await this.#run('forget', [this.#keyOf(identity)], [this.#now(), 'charges', fields]);
    this.#denials.invalidate(identity);
  }

  async block(identity: string, forMs: number): Promise<void> {
    await this.#run('block', [this.#keyOf(identity)], [this.#now(), forMs]);
    this.#denials.invalidate(identity);
  }

  async unblock(identity: string): Promise<void> {
    await this.#run('forget', [this.#keyOf(identity)], [this.#now(), 'blocks', '']);
    this.#denials.invalidate(identity);
  }

  /** Ends its own client; one that was given stays open. */
  close(): void {
    this.#driver.close();
  }

  #batch(charges: readonly Charge[], notify: boolean): Promise<StoreReply> {
    return this.#batcher.add(this.#batchKeyOf(charges[0]?.identity ?? ''), charges, notify);
  }

  async #decide(charges: readonly Charge[]): Promise<Decisions> {
    if (!this.#isCluster || hasOneIdentity(charges)) return (await this.#batch(charges, false)).decisions;
    return consumeAcrossSlots(
      charges,
      (group, mode) => (mode === 'consume' ? this.#decide(group) : this.#askOne(group, mode)),
      (decisions) => this.#refundAll(decisions),
    );
  }

  /** Gives back without a word to the known denials, among them the one that a request gives back for. */
  async #refundAll(charged: readonly Decision[]): Promise<void> {
    const byBatchKey = new Map<string, Decision[]>();
    for (const decision of charged) {
      const batchKey = this.#batchKeyOf(decision.charge.identity);
      byBatchKey.set(batchKey, [...(byBatchKey.get(batchKey) ?? []), decision]);
    }
    const calls = [...byBatchKey.values()].map((some) => {
      const { keys, args } = encodeRefund(some, this.#keyOf, this.#now());
      return this.#run('refund', keys, args);
    });
    await Promise.all(calls);
  }

  async #askOne(charges: readonly Charge[], mode: Mode): Promise<Decisions> {
    const [answer] = await this.#ask([charges], mode);
    if (answer instanceof Error) throw answer;
    return answer as Decisions;
  }

  async #ask(requests: readonly (readonly Charge[])[], mode: Mode) {
    const { keys, args } = encodeConsume(requests, mode, this.#keyOf, this.#now());
    return parseReply(await this.#run('consume', keys, args), requests);
  }

  async #run(...[script, keys, args]: Parameters<Commands['run']>): Promise<unknown> {
    const opening = this.#driver.open();
    if (opening !== null) await opening;
    try {
      return await this.#commands.run(script, keys, args);
    } catch (error) {
      throw this.#driver.describeError(error);
    }
  }

  #batchKeyOf(identity: string): string {
    return this.#isCluster ? identity : '';
  }

  #now(): number | '' {
    return this.#clock === undefined ? '' : this.#clock.now();
  }
}

const replyOf = (decisions: Decisions): StoreReply => ({ decisions, degraded: false });

function createOwn(from: RedisStoreOptions): { driver: RedisDriver; settings: RedisStoreSettings } {
  checkOptions(from);
  const { url, prefix, secret, cluster, clock, ...options } = from;
  return { driver: new IoredisDriver(url, options), settings: { prefix, secret, cluster, clock } };
}
