import type { RedisOptions } from 'ioredis';
import type { Clock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import { mistake } from '../../core/errors.js';
import { escapeSegment } from '../../core/escape.js';
import { shown } from '../../core/shown.js';
import type { SharedCounters } from '../../core/statistics.js';
import type { Store, StoreReply, StoreTarget } from '../store.js';
import { Batcher } from './batcher.js';
import { adopt, type Connection, checkOptions, isClient, OwnConnection, type RedisClient } from './client.js';
import { Commands } from './commands.js';
import { RedisCounters } from './counters.js';
import { DEFAULT_PREFIX, type KeyOf, keysUnder } from './keys.js';
import { type Asked, KnownDenials } from './known-denials.js';
import { consumeMessage, type Decided, decisionsIn, type Mode, refundMessage } from './messages.js';
import { masterOf } from './slots.js';
import { consumeApart, isOfOneIdentity, peekApart } from './spread.js';

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
  readonly partOf?: (identity: string) => string;
  readonly counters: SharedCounters;
  readonly #connection: Connection;
  readonly #commands: Commands;
  readonly #keyOf: KeyOf;
  readonly #clock: Clock | undefined;
  /** Whether identities are in slots of their own. */
  readonly #isSpread: boolean;
  readonly #batcher: Batcher<Asked>;
  readonly #denials: KnownDenials;

  constructor(options: RedisStoreOptions);
  constructor(client: RedisClient, settings?: RedisStoreSettings);
  constructor(from: RedisStoreOptions | RedisClient, settings: RedisStoreSettings = {}) {
    const given = isClient(from) ? { connection: adopt(from), settings } : own(from);
    const { prefix = DEFAULT_PREFIX, secret, cluster, clock } = given.settings;
    if (cluster !== undefined && cluster !== 'one-slot') {
      throw mistake(
        'bad-option',
        `RedisStore cannot take cluster: ${shown(cluster)}.`,
        `Give 'one-slot', or leave it out.`,
      );
    }
    this.#keyOf = keysUnder(prefix, cluster === 'one-slot');
    this.#connection = given.connection;
    const { client } = this.#connection;
    this.secret = secret;
    this.#clock = clock;
    this.#isSpread = client.isCluster === true && cluster !== 'one-slot';
    if (client.isCluster) this.partOf = (identity) => masterOf(client, this.#keyOf(identity));
    this.#commands = new Commands(client);
    this.counters = new RedisCounters((...call) => this.#run(...call), this.#keyOf);
    // Parts of a millisecond too: a wait that is told must not be shorter than it is.
    this.#denials = new KnownDenials(clock === undefined ? () => performance.now() : () => clock.now());
    this.#batcher = new Batcher((requests) => this.#ask(requests, 'consume'), this.#denials);
  }

  /** Connects a client of its own; the first decision would do so too. */
  async open(): Promise<void> {
    await this.#connection.open();
  }

  onReady(listener: () => void): void {
    this.#connection.onReady(listener);
  }

  consume(charges: readonly Charge[]): StoreReply | Promise<StoreReply> {
    const isOneCall = !this.#isSpread || isOfOneIdentity(charges);
    if (isOneCall && !this.#denials.mayKnow(charges)) return this.#batch(charges, true);
    const decided = this.#denials.decide(charges, () => this.#decide(charges));
    return decided instanceof Promise ? decided.then(replyOf) : replyOf(decided);
  }

  async peek(charges: readonly Charge[]): Promise<StoreReply> {
    const one = (part: readonly Charge[], mode: Mode) => this.#askOne(part, mode);
    const isApart = this.#isSpread && !isOfOneIdentity(charges);
    return replyOf(await (isApart ? peekApart(charges, one) : one(charges, 'peek')));
  }

  async refund(decisions: readonly Decision[]): Promise<void> {
    const charged = decisions.filter(({ receipt }) => receipt !== null);
    await this.#giveBack(charged);
    // Only now, since denials may have been decided meanwhile.
    for (const { charge } of charged) this.#denials.forget(charge.identity);
  }

  async reset({ identity, scope }: StoreTarget): Promise<void> {
    const fields = scope === undefined ? '' : `${escapeSegment(scope)}:`;
    await this.#run('forget', [this.#keyOf(identity)], [this.#now(), 'charges', fields]);
    this.#denials.forget(identity);
  }

  async block(identity: string, forMs: number): Promise<void> {
    await this.#run('block', [this.#keyOf(identity)], [this.#now(), forMs]);
    this.#denials.forget(identity);
  }

  async unblock(identity: string): Promise<void> {
    await this.#run('forget', [this.#keyOf(identity)], [this.#now(), 'blocks', '']);
    this.#denials.forget(identity);
  }

  /** Ends its own client; one that was given stays open. */
  close(): void {
    this.#connection.end();
  }

  #batch(charges: readonly Charge[], isHeard: boolean): Promise<StoreReply> {
    return this.#batcher.add(this.#laneOf(charges[0]?.identity ?? ''), charges, isHeard);
  }

  async #decide(charges: readonly Charge[]): Promise<Decided> {
    if (!this.#isSpread || isOfOneIdentity(charges)) return (await this.#batch(charges, false)).decisions;
    return consumeApart(
      charges,
      (part, mode) => (mode === 'consume' ? this.#decide(part) : this.#askOne(part, mode)),
      (decisions) => this.#giveBack(decisions),
    );
  }

  /** Gives back without a word to the known denials, among them the one that a request gives back for. */
  async #giveBack(charged: readonly Decision[]): Promise<void> {
    const byLane = new Map<string, Decision[]>();
    for (const decision of charged) {
      const lane = this.#laneOf(decision.charge.identity);
      byLane.set(lane, [...(byLane.get(lane) ?? []), decision]);
    }
    const calls = [...byLane.values()].map((some) => {
      const { keys, given } = refundMessage(some, this.#keyOf, this.#now());
      return this.#run('refund', keys, given);
    });
    await Promise.all(calls);
  }

  async #askOne(charges: readonly Charge[], mode: Mode): Promise<Decided> {
    const [answer] = await this.#ask([charges], mode);
    if (answer instanceof Error) throw answer;
    return answer as Decided;
  }

  async #ask(requests: readonly (readonly Charge[])[], mode: Mode) {
    const { keys, given } = consumeMessage(requests, mode, this.#keyOf, this.#now());
    return decisionsIn(await this.#run('consume', keys, given), requests);
  }

  async #run(...[script, keys, given]: Parameters<Commands['run']>): Promise<unknown> {
    const opening = this.#connection.open();
    if (opening !== null) await opening;
    try {
      return await this.#commands.run(script, keys, given);
    } catch (error) {
      throw this.#connection.causeOf(error);
    }
  }

  #laneOf(identity: string): string {
    return this.#isSpread ? identity : '';
  }

  #now(): number | '' {
    return this.#clock === undefined ? '' : this.#clock.now();
  }
}

const replyOf = (decisions: Decided): StoreReply => ({ decisions, degraded: false });

function own(from: RedisStoreOptions): { connection: Connection; settings: RedisStoreSettings } {
  checkOptions(from);
  const { url, prefix, secret, cluster, clock, ...options } = from;
  return { connection: new OwnConnection(url, options), settings: { prefix, secret, cluster, clock } };
}
