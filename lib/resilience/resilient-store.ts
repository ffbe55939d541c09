import { type Awaitable, isPromise } from '../core/awaitable.js';
import { type Clock, systemClock } from '../core/clock.js';
import { type Charge, type Decision, isDenial, withoutCharge } from '../core/decision.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import { type Store, type StoreReply, type StoreTarget, StoreUnavailableError } from '../store/store.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { decideByFailMode, LocalFallback } from './fallback.js';
import type { StoreHealth } from './health.js';
import { LocalOverlay } from './local-overlay.js';
import type { ResilienceSettings, StoreWatch } from './options.js';
import { FIRST_PROBE, INVALID_REPLY, isStoreReply, probe } from './probe.js';
import { LateRefunds, LocalReceipt, splitReceipts } from './receipts.js';
import { ShardBreakers } from './shard-breakers.js';
import { StoreTimeoutError, TimeoutQueue, withTimeout } from './timeout-queue.js';

/** Calls of an operator may take longer than those of a request. */
const ADMIN_TIMEOUT_MS = 2_000;

/** Whether a request is to be decided, or only to be looked at. */
type Mode = 'consume' | 'peek';

/** A request that the store has been asked about. */
interface PendingCall {
  readonly mode: Mode;
  readonly charges: readonly Charge[];
  readonly startedMs: number;
  /** What stands in this process beside the store; null for nothing. */
  readonly overlay: LocalOverlay | null;
  /** What was decided without an answer; null for a request that was turned away. */
  fallbackDecisions: readonly Decision[] | null;
}

/**
 * A store that may fail, made safe: decisions within a time budget, no calls to what fails, and limits as
 * their fail modes say meanwhile. No charge is ever sent twice.
 */
export class ResilientStore implements Store {
  readonly shared: boolean;
  readonly secret: string | undefined;
  readonly #local: LocalFallback;
  readonly #timeouts: TimeoutQueue<PendingCall, StoreReply, StoreReply>;
  readonly #breakers: ShardBreakers;
  readonly #lateRefunds: LateRefunds;
  /** A memory store has nothing to fail, so that nothing need be kept beside it. */
  readonly #canFail: boolean;
  /** Whether an answer at once says something of the store: one that is shared only remembers it. */
  readonly #learnsAtOnce: boolean;
  #degraded = 0;
  /** Since when some part fails, and how many requests had been decided without it; null while none does. */
  #outage: { readonly sinceMs: number; readonly degradedBefore: number } | null = null;

  constructor(
    readonly store: Store,
    readonly settings: ResilienceSettings,
    readonly watch: StoreWatch,
    readonly clock: Clock = systemClock,
  ) {
    this.shared = store.shared === true;
    this.secret = store.secret;
    this.#canFail = !(store instanceof MemoryStore);
    this.#learnsAtOnce = this.#canFail && !this.shared;
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

  /** How many buckets this process keeps beside the store. */
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
    if (this.#canFail) this.#local.block(identity, forMs);
    return this.#administer(this.#breakers.openBreakerOf(identity), () => this.store.block(identity, forMs));
  }

  unblock(identity: string): Promise<void> {
    this.#local.unblock(identity);
    return this.#administer(this.#breakers.openBreakerOf(identity), () => this.store.unblock(identity));
  }

  /** Lets what is under way end first, which its time budget sees to. */
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
    this.#noteDegraded(charges, null);
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
    if (overlay === null && !this.#learnsAtOnce && isStoreReply(reply)) return reply;
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

  /** Decides without the store; throws for a limit that does not go on without it. */
  #fallBack(mode: Mode, charges: readonly Charge[], cause: unknown): StoreReply {
    this.#noteDegraded(charges, cause);
    const retryAfterMs = this.#breakers.openBreakerFor(charges)?.retryAfterMs ?? 0;
    const local = (some: readonly Charge[]) => this.#local[mode](some);
    return { decisions: decideByFailMode(charges, local, retryAfterMs, cause), degraded: true };
  }

  /** The store has charged what was decided without it: a request that was turned away is to be charged for nothing. */
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
      const ours = fallbackDecisions.find(
        ({ charge }) => charge.policy.bucketKey === policy.bucketKey && charge.identity === identity,
      );
      if (!(ours?.receipt instanceof LocalReceipt)) continue;
      if (ours.receipt.isRefunded) this.#refundLate(decision);
      else this.#local.transferToStore(ours.receipt, decision);
    }
  }

  /** Has the store give back what was given back here before anybody knew that it had charged it. */
  #refundLate(decision: Decision): void {
    this.#local.observeRefund(decision, withoutCharge(decision));
    this.#lateRefunds.add([decision]);
  }

  #noteDegraded(charges: readonly Charge[], cause: unknown): void {
    this.#degraded++;
    this.watch.degraded(charges, cause);
  }

  /** Has the store do what is no decision; where it fails, the caller hears of it. */
  async #administer(broken: CircuitBreaker | null, call: () => Awaitable<void>): Promise<void> {
    if (broken !== null) throw new StoreUnavailableError(broken.retryAfterMs, [], broken.error);
    const done = call();
    if (isPromise(done)) await withTimeout(ADMIN_TIMEOUT_MS, this.clock, () => done);
  }

  #onStateChange(shard: string, { state, error }: CircuitBreaker): void {
    if (state === 'open') this.#local.onOutage();
    this.watch.breaker(shard, state, error);
    const nowMs = this.clock.now();
    if (this.#outage === null) this.#outage = { sinceMs: nowMs, degradedBefore: this.#degraded };
    if (!this.#breakers.allClosed) return;
    const { sinceMs, degradedBefore } = this.#outage;
    this.#outage = null;
    this.watch.recovered(nowMs - sinceMs, this.#degraded - degradedBefore);
  }
}
