import type { Clock } from '../core/clock.js';
import { type Charge, type Decision, isDenial, toDecision } from '../core/decision.js';
import { type Policy, perInstancePolicy, withLimit } from '../core/policy.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import type { StoreTarget } from '../store/store.js';
import { isAdditive, type KnownUsage, LastKnownUsage, toUsage } from './last-known-usage.js';
import { LocalOverlay } from './local-overlay.js';
import { LocalReceipt } from './receipts.js';

export type Mode = 'consume' | 'peek';

/** A charge as this process decides it. */
interface LocalCharge {
  readonly original: Charge;
  /** Under the share of this process. */
  readonly charge: Charge;
  /** Usage in the store that adds to that in this process, or a block in the store; undefined for neither. */
  readonly usage: KnownUsage | undefined;
  /** True if its bucket was created as a copy for this charge. */
  readonly isNew: boolean;
}

const waitOf = ({ retryAfterMs }: Decision): number => retryAfterMs ?? Number.POSITIVE_INFINITY;

/**
 * Decides in this process while the store fails, starting from the last known usage. When the store is back, what was
 * admitted without it keeps counting here until it has expired.
 */
export class LocalFallback {
  /** Charges and blocks of this process that the store knows nothing of. */
  readonly #memory: MemoryStore;
  readonly #lastKnown = new LastKnownUsage();
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

  /** Decides in place of the store, which is not charged. */
  decide(mode: Mode, charges: readonly Charge[]): readonly Decision[] {
    const nowMs = this.clock.now();
    const local = charges.map((charge) => this.#toLocal(charge, nowMs));
    // Blocks and usage in the store leave less room than the share.
    const { decisions } = this.#memory[mode](local.map((one) => this.#lowered(one, nowMs)));
    return decisions.map((decision, at) => this.#toReply(mode, decision, local[at] as LocalCharge, nowMs));
  }

  /**
   * Returns what this process adds to the store's decision: null for nothing, or denials when its own charges leave
   * no room for the request, so that the store need not be called.
   */
  overlay(mode: Mode, charges: readonly Charge[]): LocalOverlay | readonly Decision[] | null {
    if (this.#memory.size === 0) return null;
    const own = charges.filter(({ policy, identity }) => this.#memory.has(policy, identity));
    if (own.length === 0) return null;
    const localDecisions = this.#memory.peek(own).decisions;
    if (!localDecisions.some(isDenial)) return new LocalOverlay(mode, charges, localDecisions, this.#memory);
    // A denial charges nothing, but may start a block.
    return mode === 'consume' ? this.#memory.consume(own).decisions : localDecisions;
  }

  /** Refunds what this process has charged, each charge once; returns the decisions to refund in the store. */
  refund(decisions: readonly Decision[]): readonly Decision[] {
    const inStore: Decision[] = [];
    for (const decision of decisions) {
      const { receipt } = decision;
      if (!(receipt instanceof LocalReceipt)) inStore.push(decision);
      else {
        this.#refundLocal(receipt);
        if (receipt.store !== null) inStore.push(receipt.store);
      }
    }
    for (const decision of inStore) this.#lastKnown.observeRefund(decision);
    return inStore;
  }

  /**
   * Hands over the charges of a request that the store has made late as well: usage that adds up must not count
   * twice. Returns the decisions to refund in the store, since they were refunded here before that.
   */
  transferToStore(inStore: readonly Decision[], decided: readonly Decision[]): readonly Decision[] {
    const refunded: Decision[] = [];
    for (const decision of inStore) {
      const receipt = decided.find(({ charge }) => isSameBucket(charge, decision.charge))?.receipt;
      if (!(receipt instanceof LocalReceipt)) continue;
      if (receipt.local === null) refunded.push(decision);
      else {
        receipt.store = decision;
        if (isAdditive(decision.charge.policy)) this.#refundLocal(receipt);
      }
    }
    for (const decision of refunded) this.#lastKnown.observeRefund(decision);
    return refunded;
  }

  reset(target: StoreTarget): void {
    const { identity, scope } = target;
    this.#memory.reset(target);
    this.#lastKnown.deleteWhere(
      ({ charge }) => charge.identity === identity && (scope === undefined || charge.policy.scope === scope),
    );
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
    this.#lastKnown.deleteWhere(
      ({ charge, blockedForMs }) => charge.identity === identity && blockedForMs > 0,
    );
  }

  close(): void {
    this.#memory.close();
  }

  /** Refunds a charge once: a second refund would give back the charge of another request. */
  #refundLocal(receipt: LocalReceipt): void {
    if (receipt.local !== null) this.#memory.refund([receipt.local]);
    receipt.local = null;
  }

  #toLocal(original: Charge, nowMs: number): LocalCharge {
    const { policy, identity } = original;
    const share = perInstancePolicy(policy, this.instances, original.cost);
    const charge = { ...original, policy: share };
    const usage = share.limit === 0 ? undefined : this.#lastKnown.of(policy, identity, nowMs);
    if (usage === undefined || isAdditive(policy) || usage.blockedUntilMs > nowMs)
      return { original, charge, usage, isNew: false };
    const isNew = !this.#memory.has(policy, identity);
    const used = Math.max(0, share.capacity - this.#leftOf(policy, usage));
    this.#memory.seed(share, identity, used, usage.chargedAtMs, 0);
    return { original, charge, usage: undefined, isNew };
  }

  #lowered({ original, charge, usage }: LocalCharge, nowMs: number): Charge {
    if (usage === undefined) return charge;
    const left = usage.blockedUntilMs > nowMs ? 0 : this.#leftOf(original.policy, usage);
    if (left >= charge.policy.capacity) return charge;
    return { ...charge, policy: withLimit(charge.policy, left) };
  }

  /** Returns this process's part of what the store has left. */
  #leftOf({ capacity }: Policy, { used }: KnownUsage): number {
    return Math.max(0, Math.floor((capacity - used) / this.instances));
  }

  /** Turns a decision of this process into one on the original charge, and adds the usage in the store. */
  #toReply(mode: Mode, decision: Decision, local: LocalCharge, nowMs: number): Decision {
    const { original, charge, usage, isNew } = local;
    // The copy is kept only if something was charged to it.
    if (isNew && decision.receipt === null && !decision.startsBlock)
      this.#memory.drop(original.policy, original.identity);
    const receipt = decision.receipt === null ? null : new LocalReceipt(decision, null);
    if (usage === undefined) return { ...decision, charge: original, receipt };
    const waitMs = decision.allowed ? 0 : this.#waitMs(decision, charge, usage.untilMs - nowMs);
    const blockedMs = Math.max(decision.blockedForMs, usage.blockedUntilMs - nowMs, 0);
    const blockMs = mode === 'consume' && blockedMs === 0 ? this.#startBlock(charge, waitMs, nowMs) : 0;
    const reply = toDecision(charge, {
      used: charge.policy.capacity - decision.remaining,
      resetMs: Math.max(decision.resetAfterMs, usage.untilMs - nowMs),
      waitMs: Math.max(waitMs, blockedMs, blockMs),
      blockedMs: Math.max(blockedMs, blockMs),
      startsBlock: decision.startsBlock || blockMs > 0,
      atMs: decision.atMs,
      receipt,
    });
    return { ...reply, charge: original };
  }

  /** Once the usage in the store has expired, this process has room as soon as its own charges allow. */
  #waitMs(denial: Decision, charge: Charge, storeMs: number): number {
    const [own] = this.#memory.peek([charge]).decisions as [Decision];
    return Math.min(waitOf(denial), Math.max(waitOf(own), storeMs));
  }

  /** Starts the block of a denial that is due to usage in the store and returns its length; 0 for none. */
  #startBlock({ policy, identity, blockDurationsMs, shadow }: Charge, waitMs: number, nowMs: number): number {
    const [blockMs] = blockDurationsMs;
    if (blockMs === undefined || shadow || waitMs === 0 || waitMs === Number.POSITIVE_INFINITY) return 0;
    this.#memory.seed(policy, identity, 0, nowMs, nowMs + blockMs);
    return blockMs;
  }

  /** Keeps usage from before an outage, if the store's decision shows that it has lost it. */
  #restoreLost(before: KnownUsage, { charge, used, allowed }: Decision, nowMs: number): void {
    const hasForgotten = allowed && used <= charge.cost && before.used > 0 && before.untilMs > nowMs;
    if (hasForgotten) this.#memory.seed(charge.policy, charge.identity, before.used, before.chargedAtMs, 0);
  }
}

const isSameBucket = (a: Charge, b: Charge): boolean =>
  a.policy.bucketKey === b.policy.bucketKey && a.identity === b.identity;
