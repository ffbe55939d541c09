import type { Clock } from '../core/clock.js';
import { type Charge, type Decision, isDenial } from '../core/decision.js';
import { type Policy, perInstancePolicy, withLimit } from '../core/policy.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import { type StoreTarget, StoreUnavailableError } from '../store/store.js';
import { isAdditive, type KnownUsage, LastKnownUsage, toUsage } from './last-known-usage.js';
import { LocalOverlay } from './local-overlay.js';
import { LocalReceipt } from './receipts.js';

/** A charge as this process decides it, and the usage of its bucket in the store. */
interface LocalCharge {
  readonly charge: Charge;
  /** The share of this process. */
  readonly share: Policy;
  readonly usage: KnownUsage | undefined;
  /** True if its bucket was created as a copy for this charge. */
  readonly isNew: boolean;
}

/**
 * Decides in this process while the store fails, starting from the last known usage. Afterwards, what was admitted
 * meanwhile goes on counting beside the store until it has expired.
 */
export class LocalFallback {
  /** Charges and blocks of this process that the store knows nothing of. */
  readonly #memory: MemoryStore;
  readonly #lastKnown = new LastKnownUsage();
  readonly #shares = new WeakMap<Policy, Policy>();
  /** Time of the store's last failure. */
  #outageAtMs = Number.NEGATIVE_INFINITY;

  /** @param instances Number of processes that share the limits. */
  constructor(
    readonly clock: Clock,
    readonly instances: number,
  ) {
    this.#memory = new MemoryStore({ clock });
  }

  /** Number of buckets. */
  get size(): number {
    return this.#memory.size;
  }

  /** Remembers decisions of the store that was called at `askedAtMs`, in time or late. */
  observe(decisions: readonly Decision[], nowMs: number, askedAtMs: number): void {
    for (const decision of decisions) {
      if (decision.charge.policy.failMode !== 'local') continue;
      const before = this.#lastKnown.observe(decision, nowMs, askedAtMs);
      if (before !== undefined && before.observedAtMs < this.#outageAtMs)
        this.#restoreLost(toUsage(before), decision, nowMs);
    }
  }

  /** Notes that the store fails, and may return without what it had counted. */
  onOutage(): void {
    this.#outageAtMs = this.clock.now();
  }

  observeRefund(decision: Decision, without: Decision): void {
    this.#lastKnown.observeRefund(decision, without);
  }

  /** Decides in place of the store, which is not charged. */
  consume(charges: readonly Charge[]): readonly Decision[] {
    return this.#decide('consume', charges);
  }

  /** Returns what {@link consume} would decide; writes nothing. */
  peek(charges: readonly Charge[]): readonly Decision[] {
    return this.#decide('peek', charges);
  }

  /**
   * Returns what this process adds to the store's decision: null for nothing, or denials when its own charges leave
   * no room for the request, so that the store need not be called.
   */
  overlay(mode: 'consume' | 'peek', charges: readonly Charge[]): LocalOverlay | readonly Decision[] | null {
    if (this.#memory.size === 0) return null;
    const own = charges.filter(({ policy, identity }) => this.#memory.has(policy, identity));
    if (own.length === 0) return null;
    const localDecisions = this.#memory.peek(own).decisions;
    if (!localDecisions.some(isDenial)) return new LocalOverlay(mode, charges, localDecisions, this.#memory);
    // A denial charges nothing, but may start a block.
    return mode === 'consume' ? this.#memory.consume(own).decisions : localDecisions;
  }

  refund(decisions: readonly Decision[]): void {
    this.#memory.refund(decisions);
  }

  /** Hands over a charge that the store has made late as well: usage that adds up must not count twice. */
  transferToStore(receipt: LocalReceipt, store: Decision): void {
    receipt.store = store;
    const { local } = receipt;
    if (local === null || !isAdditive(local.charge.policy)) return;
    this.#memory.refund([local]);
    receipt.local = null;
  }

  reset(target: StoreTarget): void {
    this.#memory.reset(target);
    this.#lastKnown.reset(target.identity, target.scope);
  }

  block(identity: string, forMs: number): void {
    try {
      this.#memory.block(identity, forMs);
    } catch {
      // This process has no room for it, but the store may have.
    }
  }

  unblock(identity: string): void {
    this.#memory.unblock(identity);
    this.#lastKnown.unblock(identity);
  }

  close(): void {
    this.#memory.close();
  }

  #decide(mode: 'consume' | 'peek', charges: readonly Charge[]): readonly Decision[] {
    const nowMs = this.clock.now();
    const local = charges.map((charge) => this.#toLocal(charge, nowMs));
    const { decisions } = this.#memory[mode](local.map(({ charge }) => charge));
    return decisions.map((decision, at) =>
      this.#toReply(mode, decision, charges[at] as Charge, local[at] as LocalCharge, nowMs),
    );
  }

  #toLocal(charge: Charge, nowMs: number): LocalCharge {
    const { policy, identity } = charge;
    const share = this.#shareOf(charge);
    const usage = this.#lastKnown.of(policy, identity, nowMs);
    if (usage === undefined) return toLocal(charge, share, usage);
    if (usage.blockedUntilMs > nowMs) return toLocal(charge, share, usage, 0);
    const left = Math.max(0, Math.floor((policy.capacity - usage.used) / this.instances));
    if (isAdditive(policy)) return toLocal(charge, share, usage, Math.min(share.capacity, left));
    const isNew = !this.#memory.has(policy, identity);
    const used = Math.max(0, share.capacity - left);
    this.#memory.seed(share, identity, used, usage.chargedAtMs, 0);
    return { ...toLocal(charge, share, usage), isNew };
  }

  #shareOf({ policy, cost }: Charge): Policy {
    if (this.instances === 1) return policy;
    let share = this.#shares.get(policy);
    if (share === undefined) {
      share = perInstancePolicy(policy, this.instances, 0);
      this.#shares.set(policy, share);
    }
    return cost <= share.capacity ? share : perInstancePolicy(policy, this.instances, cost);
  }

  /** Turns a decision of this process into one on the original charge. */
  #toReply(
    mode: 'consume' | 'peek',
    decision: Decision,
    charge: Charge,
    local: LocalCharge,
    nowMs: number,
  ): Decision {
    const { share, usage, isNew } = local;
    // The copy is kept only if something was charged to it.
    if (isNew && decision.receipt === null && !decision.startsBlock)
      this.#memory.drop(charge.policy, charge.identity);
    const receipt = decision.receipt === null ? null : new LocalReceipt(decision, null);
    const reply = { ...decision, charge, receipt };
    if (usage === undefined || share.limit === 0) return reply;
    const blockedMs = Math.max(0, usage.blockedUntilMs - nowMs);
    if (!isAdditive(charge.policy) && blockedMs === 0) return reply;
    const storeMs = Math.max(blockedMs, usage.untilMs - nowMs);
    const resetAfterMs = Math.max(decision.resetAfterMs, storeMs);
    if (decision.allowed) return { ...reply, limit: share.capacity, resetAfterMs };
    // Once the usage in the store has expired, this process has room as soon as its own charges allow.
    const { retryAfterMs: ownMs } = this.#memory.peek([{ ...charge, policy: share }])
      .decisions[0] as Decision;
    const laterMs = ownMs === null ? null : Math.max(ownMs, storeMs);
    const waitMs =
      decision.retryAfterMs === null || laterMs === null ? laterMs : Math.min(decision.retryAfterMs, laterMs);
    const denied = { ...reply, limit: share.capacity, resetAfterMs, retryAfterMs: waitMs };
    if (decision.blockedForMs > 0 || blockedMs > 0) {
      const blockedForMs = Math.max(decision.blockedForMs, blockedMs);
      return {
        ...denied,
        blockedForMs,
        retryAfterMs: waitMs === null ? null : Math.max(waitMs, blockedForMs),
      };
    }
    return mode === 'consume' ? this.#blocked(denied, share, nowMs) : denied;
  }

  /** Starts the block of a denial that is due to usage in the store. */
  #blocked(denied: Decision, share: Policy, nowMs: number): Decision {
    const { blockDurationsMs, shadow, identity } = denied.charge;
    const [blockMs] = blockDurationsMs;
    if (blockMs === undefined || shadow || denied.retryAfterMs === null) return denied;
    this.#memory.seed(share, identity, 0, nowMs, nowMs + blockMs);
    return {
      ...denied,
      remaining: 0,
      resetAfterMs: Math.max(denied.resetAfterMs, blockMs),
      retryAfterMs: Math.max(denied.retryAfterMs, blockMs),
      blockedForMs: blockMs,
      startsBlock: true,
    };
  }

  /** Keeps usage from before an outage, if the store's decision shows that it has lost it. */
  #restoreLost(before: KnownUsage, { charge, used, allowed }: Decision, nowMs: number): void {
    const hasForgotten = allowed && used <= charge.cost && before.used > 0 && before.untilMs > nowMs;
    if (!hasForgotten) return;
    const { policy, identity } = charge;
    this.#memory.seed(policy, identity, before.used, before.chargedAtMs, 0);
  }
}

const toLocal = (
  charge: Charge,
  share: Policy,
  usage: KnownUsage | undefined,
  limit = share.limit,
): LocalCharge => ({
  charge: { ...charge, policy: limit === share.limit ? share : withLimit(share, limit) },
  share,
  usage,
  isNew: false,
});

/**
 * Decides a request without the store, by the fail modes of its limits: a `closed` one refuses the request;
 * otherwise `local` decides the `local` ones, and `open` ones are left out. A shadow limit never refuses.
 *
 * @throws StoreUnavailableError for a `closed` limit.
 */
export function decideByFailMode(
  charges: readonly Charge[],
  local: (charges: readonly Charge[]) => readonly Decision[],
  retryAfterMs: number,
  cause: unknown,
): readonly Decision[] {
  const closed = charges.filter(({ policy, shadow }) => policy.failMode === 'closed' && !shadow);
  if (closed.length > 0) {
    const limits = closed.map(({ policy }) => policy.name);
    throw new StoreUnavailableError(retryAfterMs, limits, cause);
  }
  const decided = charges.filter(({ policy }) => policy.failMode === 'local');
  return decided.length === 0 ? [] : local(decided);
}
