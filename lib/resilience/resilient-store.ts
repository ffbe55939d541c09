import { type Awaitable, isPromise } from '../core/awaitable.js';
import { type Clock, steadyClock } from '../core/clock.js';
import { type Charge, type Decision, isDenial } from '../core/decision.js';
import { definePolicy } from '../core/policy.js';
import { type Store, type StoreReply, type StoreTarget, StoreUnavailableError } from '../store/store.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { LocalFallback, type Mode } from './fallback.js';
import { LocalOverlay } from './local-overlay.js';
import type { ResilienceSettings, StoreEvent } from './options.js';
import { LateRefunds } from './receipts.js';
import { FIRST_PROBE, ShardBreakers, type ShardHealth } from './shard-breakers.js';
import { TimeoutQueue, withTimeout } from './timeout-queue.js';

/** Calls of operators may take longer than those of requests. */
const ADMIN_TIMEOUT_MS = 2_000;

/** Has a key of its own, which expires by itself. */
const PROBE = definePolicy({ name: 'probe', scope: 'probe', rate: { limit: 1_000_000, windowMs: 1_000 } });

const INVALID_REPLY = new Error('The store returned no decisions.');

const isStoreReply = (reply: unknown): reply is StoreReply =>
  Array.isArray((reply as Partial<StoreReply> | null | undefined)?.decisions);

/** Health of the store, as this process sees it. */
export interface StoreHealth {
  /** `degraded` while any shard fails and is therefore not called. */
  readonly status: 'up' | 'degraded';
  /** One entry for each node of a Cluster that was called; a single entry for other stores. */
  readonly shards: readonly ShardHealth[];
  /** Requests since start-up that were decided without the store, or rejected because it failed. */
  readonly degraded: number;
}

/** A request that the store is deciding. */
interface PendingCall {
  readonly mode: Mode;
  readonly charges: readonly Charge[];
  readonly startedMs: number;
  /** Local usage to apply to the store's decision; null for none. */
  readonly overlay: LocalOverlay | null;
  /** Decisions made without a reply; undefined while there are none, and for a request that was rejected. */
  fallbackDecisions?: readonly Decision[];
}

/**
 * Guards a store that may fail: decides within a time budget, does not call shards that fail, and decides by the
 * limits' fail modes instead. No charge is ever sent twice.
 */
export class ResilientStore implements Store {
  readonly name: string;
  readonly shared: boolean;
  readonly secret: string | undefined;
  readonly #local: LocalFallback;
  readonly #timeouts: TimeoutQueue<PendingCall, StoreReply, StoreReply>;
  readonly #breakers: ShardBreakers;
  readonly #lateRefunds: LateRefunds;
  #degraded = 0;
  /** Start of the current outage, and the number of degraded requests before it; null while no shard fails. */
  #outage: { readonly sinceMs: number; readonly degradedBefore: number } | null = null;

  constructor(
    readonly store: Store,
    readonly settings: ResilienceSettings,
    readonly onEvent: (event: StoreEvent) => void,
    readonly clock: Clock = steadyClock,
  ) {
    this.name = store.name;
    this.shared = store.shared === true;
    this.secret = store.secret;
    this.#lateRefunds = new LateRefunds(store);
    this.#local = new LocalFallback(clock, settings.instances);
    this.#timeouts = new TimeoutQueue(settings.timeoutMs, clock, {
      onReply: (pending, reply) => this.#onReply(pending, reply),
      onError: (pending, error) => this.#onError(pending, error),
      onLateReply: (pending, reply) => this.#onLateReply(pending, reply),
    });
    this.#breakers = new ShardBreakers(settings.breaker, clock, {
      shardOf: store.shardOf?.bind(store),
      probe: (identity) => this.#probe(identity, settings.timeoutMs),
      onStateChange: (shard, breaker) => this.#onStateChange(shard, breaker),
    });
    store.onReady?.(() => this.#breakers.probeNow());
  }

  /** Connects the store and probes it, so that an outage is known before the first request. */
  async open(): Promise<void> {
    if (this.store.open === undefined) return;
    try {
      await withTimeout(ADMIN_TIMEOUT_MS, this.clock, async () => this.store.open?.());
      await this.#probe(FIRST_PROBE, ADMIN_TIMEOUT_MS);
    } catch (error) {
      this.#breakers.trip(error);
    }
  }

  /** Number of buckets that this process keeps beside the store. */
  get localBucketCount(): number {
    return this.#local.size;
  }

  health(): StoreHealth {
    return {
      status: this.#breakers.allClosed ? 'up' : 'degraded',
      shards: this.#breakers.health(),
      degraded: this.#degraded,
    };
  }

  consume(charges: readonly Charge[]): Awaitable<StoreReply> {
    return this.#decide('consume', charges);
  }

  peek(charges: readonly Charge[]): Awaitable<StoreReply> {
    return this.#decide('peek', charges);
  }

  async refund(decisions: readonly Decision[]): Promise<void> {
    const inStore = this.#local.refund(decisions);
    if (inStore.length === 0) return;
    const charges = inStore.map(({ charge }) => charge);
    await this.#administer(charges, () => this.store.refund(inStore));
  }

  reset(target: StoreTarget): Promise<void> {
    this.#local.reset(target);
    return this.#administer([target], () => this.store.reset(target));
  }

  block(identity: string, forMs: number): Promise<void> {
    this.#local.block(identity, forMs);
    return this.#administer([{ identity }], () => this.store.block(identity, forMs));
  }

  unblock(identity: string): Promise<void> {
    this.#local.unblock(identity);
    return this.#administer([{ identity }], () => this.store.unblock(identity));
  }

  /** Waits for pending calls first, which their time budget bounds. */
  async close(): Promise<void> {
    this.#breakers.stop();
    await this.#timeouts.idle();
    this.#local.close();
    await this.store.close?.();
  }

  /** Asks the store for a decision, as requests do; rejects when it fails or takes longer than `withinMs`. */
  async #probe(identity: string, withinMs: number): Promise<void> {
    const charges = [{ policy: PROBE, identity, cost: 1, shadow: false, blockDurationsMs: [] }];
    const reply = await withTimeout(withinMs, this.clock, () => this.store.consume(charges));
    if (!isStoreReply(reply)) throw INVALID_REPLY;
  }

  #decide(mode: Mode, charges: readonly Charge[]): Awaitable<StoreReply> {
    const broken = this.#breakers.openBreakerFor(charges);
    if (broken !== null) return this.#fallBack(mode, charges, broken.error);
    const overlay = this.#local.overlay(mode, charges);
    if (overlay === null || overlay instanceof LocalOverlay) return this.#ask(mode, charges, overlay);
    this.#countDegraded(charges, null);
    return { decisions: overlay, degraded: true };
  }

  #ask(mode: Mode, charges: readonly Charge[], overlay: LocalOverlay | null): Awaitable<StoreReply> {
    const pending: PendingCall = { mode, charges, overlay, startedMs: this.clock.now() };
    let reply: Awaitable<StoreReply>;
    try {
      reply = this.store[mode](overlay === null ? charges : overlay.charges);
    } catch (error) {
      return this.#onError(pending, error);
    }
    if (isPromise(reply)) return this.#timeouts.wait(pending, reply);
    // A shared store that replies synchronously has not been called: it repeats what it knows.
    if (overlay === null && this.shared && isStoreReply(reply)) return reply;
    return this.#onReply(pending, reply);
  }

  #onReply(pending: PendingCall, reply: StoreReply): StoreReply {
    if (!isStoreReply(reply)) return this.#onError(pending, INVALID_REPLY);
    const nowMs = this.clock.now();
    this.#breakers.onSuccess(pending.charges, nowMs);
    if (pending.mode === 'consume') this.#local.observe(reply.decisions, nowMs, pending.startedMs);
    const { overlay } = pending;
    return overlay === null ? reply : { ...reply, decisions: overlay.merge(reply.decisions) };
  }

  #onError(pending: PendingCall, error: unknown): StoreReply {
    const { mode, charges, overlay, startedMs } = pending;
    overlay?.rollback();
    this.#breakers.onFailure(charges, error, startedMs);
    const reply = this.#fallBack(mode, charges, error);
    if (!reply.decisions.some(isDenial)) pending.fallbackDecisions = reply.decisions;
    return reply;
  }

  /**
   * Decides without the store, by the fail modes of the limits: `closed` ones reject the request, `local` ones are
   * decided by this process, and `open` ones are left out. A shadow limit never rejects.
   *
   * @throws StoreUnavailableError for a `closed` limit.
   */
  #fallBack(mode: Mode, charges: readonly Charge[], cause: unknown): StoreReply {
    this.#countDegraded(charges, cause);
    const closed = charges.filter(({ policy, shadow }) => policy.failMode === 'closed' && !shadow);
    if (closed.length > 0) {
      const limits = closed.map(({ policy }) => policy.name);
      const retryAfterMs = this.#breakers.openBreakerFor(charges)?.retryAfterMs ?? 0;
      throw new StoreUnavailableError(retryAfterMs, limits, cause);
    }
    const local = charges.filter(({ policy }) => policy.failMode === 'local');
    return { decisions: this.#local.decide(mode, local), degraded: true };
  }

  /** Settles charges of a request that was decided without the store; one that was rejected must not be charged. */
  #onLateReply({ mode, fallbackDecisions, startedMs }: PendingCall, reply: StoreReply): void {
    if (mode === 'peek' || !isStoreReply(reply)) return;
    const charged = reply.decisions.filter(({ receipt }) => receipt !== null);
    if (fallbackDecisions === undefined) {
      this.#lateRefunds.add(charged);
      return;
    }
    this.#local.observe(reply.decisions, this.clock.now(), startedMs);
    this.#lateRefunds.add(this.#local.transferToStore(charged, fallbackDecisions));
  }

  #countDegraded(charges: readonly Charge[], cause: unknown): void {
    this.#degraded++;
    this.onEvent({ kind: 'degraded', charges, cause });
  }

  /** Makes a call that is no decision; the caller handles its failure. */
  async #administer(targets: readonly StoreTarget[], call: () => Awaitable<void>): Promise<void> {
    const broken = this.#breakers.openBreakerFor(targets);
    if (broken !== null) throw new StoreUnavailableError(broken.retryAfterMs, [], broken.error);
    const result = call();
    if (isPromise(result)) await withTimeout(ADMIN_TIMEOUT_MS, this.clock, () => result);
  }

  #onStateChange(shard: string, { state, error }: CircuitBreaker): void {
    if (state === 'open') this.#local.onOutage();
    this.onEvent({ kind: 'breaker', shard, state, cause: error });
    const nowMs = this.clock.now();
    if (this.#outage === null) this.#outage = { sinceMs: nowMs, degradedBefore: this.#degraded };
    if (!this.#breakers.allClosed) return;
    const { sinceMs, degradedBefore } = this.#outage;
    this.#outage = null;
    const degraded = this.#degraded - degradedBefore;
    this.onEvent({ kind: 'recovered', afterMs: nowMs - sinceMs, degraded });
  }
}
