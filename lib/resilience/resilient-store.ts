import { type Awaitable, isPromise } from '../core/awaitable.js';
import { type Clock, systemClock } from '../core/clock.js';
import { type Charge, type Decision, isDenial, withoutCharge } from '../core/decision.js';
import { type Store, type StoreReply, type StoreTarget, StoreUnavailableError } from '../store/store.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { decideByFailMode, LocalFallback } from './fallback.js';
import type { StoreHealth } from './health.js';
import { LocalOverlay } from './local-overlay.js';
import type { ResilienceSettings, StoreEvent } from './options.js';
import { FIRST_PROBE, INVALID_REPLY, isStoreReply, probe } from './probe.js';
import { LateRefunds, LocalReceipt, splitReceipts } from './receipts.js';
import { ShardBreakers } from './shard-breakers.js';
import { StoreTimeoutError, TimeoutQueue, withTimeout } from './timeout-queue.js';

/** Calls of operators may take longer than those of requests. */
const ADMIN_TIMEOUT_MS = 2_000;

type Mode = 'consume' | 'peek';

/** A request that the store is deciding. */
interface PendingCall {
  readonly mode: Mode;
  readonly charges: readonly Charge[];
  readonly startedMs: number;
  /** Local usage to apply to the store's decision; null for none. */
  readonly overlay: LocalOverlay | null;
  /** Decisions made without a reply; null while there are none, and for a request that was rejected. */
  fallbackDecisions: readonly Decision[] | null;
}

/**
 * Guards a store that may fail: decides within a time budget, does not call what fails, and meanwhile decides by
 * the limits' fail modes. No charge is ever sent twice.
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
    readonly clock: Clock = systemClock,
  ) {
    this.name = store.name;
    this.shared = store.shared === true;
    this.secret = store.secret;
    this.#lateRefunds = new LateRefunds(store);
    this.#local = new LocalFallback(clock, settings.instances);
    this.#timeouts = new TimeoutQueue(settings.timeoutMs, clock, {
      onReply: (pending, reply) => this.#onReply(pending, reply),
      onError: (pending, error) => this.#onError(pending, error),
      onTimeout: (pending) => this.#onError(pending, new StoreTimeoutError(settings.timeoutMs)),
      onLateReply: (pending, reply) => this.#onLateReply(pending, reply),
    });
    this.#breakers = new ShardBreakers(settings.breaker, clock, {
      shardOf: store.shardOf?.bind(store),
      probe: (identity) => probe(store, identity, settings.timeoutMs, clock),
      onStateChange: (shard, breaker) => this.#onStateChange(shard, breaker),
    });
    store.onReady?.(() => this.#breakers.probeNow());
  }

  /** Connects the store and probes it, so that an outage is known before the first request. */
  async open(): Promise<void> {
    if (this.store.open === undefined) return;
    try {
      await withTimeout(ADMIN_TIMEOUT_MS, this.clock, async () => this.store.open?.());
      await probe(this.store, FIRST_PROBE, ADMIN_TIMEOUT_MS, this.clock);
    } catch (error) {
      this.#breakers.trip(FIRST_PROBE, error);
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
    const { local, store } = splitReceipts(decisions);
    this.#local.refund(local);
    if (store.length === 0) return;
    for (const decision of store) this.#local.observeRefund(decision, withoutCharge(decision));
    const broken = this.#breakers.openBreakerFor(store.map(({ charge }) => charge));
    await this.#administer(broken, () => this.store.refund(store));
  }

  reset(target: StoreTarget): Promise<void> {
    this.#local.reset(target);
    return this.#administer(this.#breakers.openBreakerOf(target.identity), () => this.store.reset(target));
  }

  block(identity: string, forMs: number): Promise<void> {
    this.#local.block(identity, forMs);
    return this.#administer(this.#breakers.openBreakerOf(identity), () => this.store.block(identity, forMs));
  }

  unblock(identity: string): Promise<void> {
    this.#local.unblock(identity);
    return this.#administer(this.#breakers.openBreakerOf(identity), () => this.store.unblock(identity));
  }

  /** Waits for pending calls first, which their time budget bounds. */
  async close(): Promise<void> {
    this.#breakers.stop();
    await this.#timeouts.idle();
    this.#local.close();
    await this.store.close?.();
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
    let reply: Awaitable<StoreReply>;
    try {
      reply = this.store[mode](overlay === null ? charges : overlay.charges);
    } catch (error) {
      return this.#onError(this.#pendingCall(mode, charges, overlay), error);
    }
    if (isPromise(reply)) return this.#timeouts.wait(this.#pendingCall(mode, charges, overlay), reply);
    // A shared store that replies synchronously has not been called: it repeats what it knows.
    if (overlay === null && this.shared && isStoreReply(reply)) return reply;
    return this.#onReply(this.#pendingCall(mode, charges, overlay), reply);
  }

  #pendingCall(mode: Mode, charges: readonly Charge[], overlay: LocalOverlay | null): PendingCall {
    return { mode, charges, startedMs: this.clock.now(), overlay, fallbackDecisions: null };
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

  /** Decides without the store; throws if a limit has failMode `closed`. */
  #fallBack(mode: Mode, charges: readonly Charge[], cause: unknown): StoreReply {
    this.#countDegraded(charges, cause);
    const retryAfterMs = this.#breakers.openBreakerFor(charges)?.retryAfterMs ?? 0;
    const local = (some: readonly Charge[]) => this.#local[mode](some);
    return { decisions: decideByFailMode(charges, local, retryAfterMs, cause), degraded: true };
  }

  /** Settles charges of a request that was decided without the store; one that was rejected must not be charged. */
  #onLateReply({ mode, fallbackDecisions, startedMs }: PendingCall, reply: StoreReply): void {
    if (mode === 'peek' || !isStoreReply(reply)) return;
    const charged = reply.decisions.filter(({ receipt }) => receipt !== null);
    if (fallbackDecisions === null) {
      this.#lateRefunds.add(charged);
      return;
    }
    this.#local.observe(reply.decisions, this.clock.now(), startedMs);
    for (const decision of charged) {
      const { policy, identity } = decision.charge;
      const own = fallbackDecisions.find(
        ({ charge }) => charge.policy.bucketKey === policy.bucketKey && charge.identity === identity,
      );
      if (!(own?.receipt instanceof LocalReceipt)) continue;
      if (own.receipt.isRefunded) this.#refundLate(decision);
      else this.#local.transferToStore(own.receipt, decision);
    }
  }

  /** Refunds in the store what was refunded here before its charge was known. */
  #refundLate(decision: Decision): void {
    this.#local.observeRefund(decision, withoutCharge(decision));
    this.#lateRefunds.add([decision]);
  }

  #countDegraded(charges: readonly Charge[], cause: unknown): void {
    this.#degraded++;
    this.onEvent({ kind: 'degraded', charges, cause });
  }

  /** Makes a call that is no decision; its failure is the caller's to handle. */
  async #administer(broken: CircuitBreaker | null, call: () => Awaitable<void>): Promise<void> {
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
