import type { Clock } from '../../core/clock.js';
import type { Charge, Decision } from '../../core/decision.js';
import { escapeSegment } from '../../core/escape.js';
import type { SharedCounters } from '../shared-counters.js';
import type { Store, StoreReply, StoreTarget } from '../store.js';
import { Batcher, type BatchReply } from './batcher.js';
import { consumeAcrossSlots, hasOneIdentity, peekAcrossSlots } from './cluster.js';
import { DenialCache, type SendToken } from './denial-cache.js';
import type { RedisDriver } from './driver.js';
import {
  type RedisClient,
  type RedisStoreOptions,
  type RedisStoreSettings,
  resolveOptions,
} from './options.js';
import {
  DEFAULT_PREFIX,
  type DecidedRequest,
  encodeConsume,
  encodedKind,
  encodeRefund,
  type KeyFormat,
  keyFormat,
  type Mode,
  parseReply,
} from './protocol.js';
import { RedisCounters } from './shared-counters.js';

/**
 * Keeps buckets in Redis 6.2 or later, or Valkey, for a whole fleet. All limits of a request are decided in one
 * atomic call, by the server's clock.
 *
 * Give a URL or options of ioredis, and the client closes with the application; or give a client of your own, a
 * `Redis` or a `Cluster`, which stays open.
 *
 * @throws RateLimitConfigError `bad-option` for an invalid `prefix` or `cluster`.
 * @example
 * RateLimitModule.forRoot({ store: new RedisStore({ url: 'redis://localhost:6379' }), scopes: { login: '5/15min' } });
 * @example
 * new RedisStore(new Cluster(nodes), { prefix: 'shop' });
 */
export class RedisStore implements Store {
  readonly name: string = 'redis';
  readonly shared = true;
  readonly secret: string | undefined;
  /** On a Cluster: returns the node that leads the slot of an identity, as `host:port`. */
  readonly shardOf?: (identity: string) => string;
  readonly counters: SharedCounters;
  readonly #driver: RedisDriver;
  readonly #keyOf: KeyFormat;
  readonly #clock: Clock | undefined;
  /** True if identities are in slots of their own. */
  readonly #isCluster: boolean;
  readonly #batcher: Batcher<SendToken>;
  readonly #denials: DenialCache;

  constructor(options: RedisStoreOptions);
  constructor(client: RedisClient, settings?: RedisStoreSettings);
  constructor(from: RedisStoreOptions | RedisClient, clientSettings: RedisStoreSettings = {}) {
    const { driver, settings } = resolveOptions(from, clientSettings);
    const { prefix = DEFAULT_PREFIX, secret, cluster, clock } = settings;
    this.#keyOf = keyFormat(prefix, cluster === 'one-slot');
    this.#driver = driver;
    this.secret = secret;
    this.#clock = clock;
    const { shardOf } = driver;
    this.#isCluster = shardOf !== undefined && cluster !== 'one-slot';
    if (shardOf !== undefined) this.shardOf = (identity) => shardOf(this.#keyOf(identity));
    this.counters = new RedisCounters((...call) => driver.evaluate(...call), this.#keyOf);
    // With fractions of a millisecond: a reported wait must not be too short.
    this.#denials = new DenialCache(clock === undefined ? () => performance.now() : () => clock.now());
    this.#batcher = new Batcher((requests) => this.#evaluate(requests, 'consume'), this.#denials);
  }

  /** Connects a client of its own; otherwise the first decision does. */
  async open(): Promise<void> {
    await this.#driver.open();
  }

  onReady(listener: () => void): void {
    this.#driver.onReady(listener);
  }

  consume(charges: readonly Charge[]): StoreReply | Promise<StoreReply> {
    // A charge that cannot be encoded fails here, and not the requests of others in its call.
    for (const charge of charges) encodedKind(charge);
    const isOneCall = !this.#isCluster || hasOneIdentity(charges);
    if (isOneCall && !this.#denials.mayContain(charges)) return this.#batch(charges, true);
    const decided = this.#denials.getOrFetch(charges, () => this.#decide(charges));
    return decided instanceof Promise ? decided.then(toReply) : toReply(decided);
  }

  async peek(charges: readonly Charge[]): Promise<StoreReply> {
    if (!this.#isCluster || hasOneIdentity(charges)) return toReply(await this.#evaluateOne(charges, 'peek'));
    return toReply(await peekAcrossSlots(charges, (group, mode) => this.#evaluateOne(group, mode)));
  }

  async refund(decisions: readonly Decision[]): Promise<void> {
    const charged = decisions.filter(({ receipt }) => receipt !== null);
    await this.#invalidating(
      charged.map(({ charge }) => charge.identity),
      () => this.#refundAll(charged),
    );
  }

  async reset({ identity, scope }: StoreTarget): Promise<void> {
    const fieldPrefix = scope === undefined ? '' : `${escapeSegment(scope)}:`;
    await this.#invalidating([identity], () =>
      this.#driver.evaluate('forget', [this.#keyOf(identity)], [this.#now(), 'charges', fieldPrefix]),
    );
  }

  async block(identity: string, forMs: number): Promise<void> {
    await this.#invalidating([identity], () =>
      this.#driver.evaluate('block', [this.#keyOf(identity)], [this.#now(), forMs]),
    );
  }

  async unblock(identity: string): Promise<void> {
    await this.#invalidating([identity], () =>
      this.#driver.evaluate('forget', [this.#keyOf(identity)], [this.#now(), 'blocks', '']),
    );
  }

  /** Closes a client of its own; one that was given stays open. */
  close(): void {
    this.#driver.close();
  }

  /** Drops cached denials after a call, since some may have been cached meanwhile; also if it failed, perhaps after it took effect. */
  async #invalidating(identities: readonly string[], call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } finally {
      for (const identity of identities) this.#denials.invalidate(identity);
    }
  }

  #batch(charges: readonly Charge[], notify: boolean): Promise<BatchReply> {
    return this.#batcher.add(this.#batchKeyOf(charges[0]?.identity ?? ''), charges, notify);
  }

  async #decide(charges: readonly Charge[]): Promise<DecidedRequest> {
    if (!this.#isCluster || hasOneIdentity(charges)) return this.#batch(charges, false);
    return consumeAcrossSlots(
      charges,
      (group, mode) => (mode === 'consume' ? this.#decide(group) : this.#evaluateOne(group, mode)),
      async (decisions) => {
        await this.#refundAll(decisions);
        for (const { charge } of decisions) this.#denials.onCharge(charge);
      },
    );
  }

  /** Refunds without invalidating cached denials, one of which may be the reason for the refund. */
  async #refundAll(charged: readonly Decision[]): Promise<void> {
    const byBatchKey = new Map<string, Decision[]>();
    for (const decision of charged) {
      const batchKey = this.#batchKeyOf(decision.charge.identity);
      byBatchKey.set(batchKey, [...(byBatchKey.get(batchKey) ?? []), decision]);
    }
    const calls = [...byBatchKey.values()].map((decisions) => {
      const { keys, args } = encodeRefund(decisions, this.#keyOf, this.#now());
      return this.#driver.evaluate('refund', keys, args);
    });
    await Promise.all(calls);
  }

  async #evaluateOne(charges: readonly Charge[], mode: Mode): Promise<DecidedRequest> {
    const [reply] = await this.#evaluate([charges], mode);
    if (reply instanceof Error) throw reply;
    return reply as DecidedRequest;
  }

  async #evaluate(requests: readonly (readonly Charge[])[], mode: Mode) {
    const { keys, args } = encodeConsume(requests, mode, this.#keyOf, this.#now());
    return parseReply(await this.#driver.evaluate('consume', keys, args), requests);
  }

  #batchKeyOf(identity: string): string {
    return this.#isCluster ? identity : '';
  }

  #now(): number | '' {
    return this.#clock === undefined ? '' : this.#clock.now();
  }
}

const toReply = ({ decisions }: DecidedRequest): StoreReply => ({ decisions, degraded: false });
