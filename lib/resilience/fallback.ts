import type { Clock } from '../core/clock.js';
import { type Charge, type Decision, isDenial } from '../core/decision.js';
import { type Policy, perInstancePolicy, withLimit } from '../core/policy.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import { type StoreTarget, StoreUnavailableError } from '../store/store.js';
import { isAdditive, type KnownUsage, LastKnownUsage, toUsage } from './last-known-usage.js';
import { LocalOverlay } from './local-overlay.js';
import { LocalReceipt } from './receipts.js';

/** A charge as this process decides it, and what it has been told of its bucket. */
interface LocalCharge {
  readonly charge: Charge;
  /** What the process admits by itself. */
  readonly share: Policy;
  readonly known: KnownUsage | undefined;
  /** Whether its bucket is a copy that was made for it. */
  readonly isNew: boolean;
}

/**
 * Limits as this process enforces them by itself while the store cannot, from where the store left off; and what
 * is left of that beside the store, until what was admitted here has ended.
 */
export class LocalFallback {
  /** What this process has admitted, and blocked, without the store. */
  readonly #memory: MemoryStore;
  readonly #lastKnown = new LastKnownUsage();
  readonly #shares = new WeakMap<Policy, Policy>();
  /** When the store was last away. */
  #outageAtMs = Number.NEGATIVE_INFINITY;

  /** @param instances Among how many processes limits are divided. */
  constructor(
    readonly clock: Clock,
    readonly instances: number,
  ) {
    this.#memory = new MemoryStore({ clock });
  }

  /** How many buckets it holds. */
  get size(): number {
    return this.#memory.size;
  }

  /** Remembers what the store has just said, in time or late, on what it was asked at `askedAtMs`. */
  observe(decisions: readonly Decision[], nowMs: number, askedAtMs: number): void {
    for (const decision of decisions) {
      if (decision.charge.policy.failMode !== 'local') continue;
      const before = this.#lastKnown.observe(decision, nowMs, askedAtMs);
      if (before !== undefined && before.observedAtMs < this.#outageAtMs)
        this.#restoreLost(toUsage(before), decision, nowMs);
    }
  }

  /** Remembers that the store is away, and may come back without what it had counted. */
  onOutage(): void {
    this.#outageAtMs = this.clock.now();
  }

  observeRefund(decision: Decision, without: Decision): void {
    this.#lastKnown.observeRefund(decision, without);
  }

  /** Decides in place of the store, in which `charges` count for nothing. */
  consume(charges: readonly Charge[]): readonly Decision[] {
    return this.#decide('consume', charges);
  }

  /** What {@link consume} would answer. */
  peek(charges: readonly Charge[]): readonly Decision[] {
    return this.#decide('peek', charges);
  }

  /**
   * What stands beside the store: null when nothing does, denials when that leaves no room for a request, so that
   * there is no need to ask the store.
   */
  overlay(mode: 'consume' | 'peek', charges: readonly Charge[]): LocalOverlay | readonly Decision[] | null {
    if (this.#memory.size === 0) return null;
    const own = charges.filter(({ policy, identity }) => this.#memory.has(policy, identity));
    if (own.length === 0) return null;
    const localDecisions = this.#memory.peek(own).decisions;
    if (!localDecisions.some(isDenial)) return new LocalOverlay(mode, charges, localDecisions, this.#memory);
    // By a denial nothing is charged, but a block begins.
    return mode === 'consume' ? this.#memory.consume(own).decisions : localDecisions;
  }

  refund(decisions: readonly Decision[]): void {
    this.#memory.refund(decisions);
  }

  /** The store has counted, late, what this process has admitted: of a sum it is not to count twice. */
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
      // No room for it here, but perhaps in the store.
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
    const known = this.#lastKnown.of(policy, identity, nowMs);
    if (known === undefined) return toLocal(charge, share, known);
    if (known.blockedUntilMs > nowMs) return toLocal(charge, share, known, 0);
    const left = Math.max(0, Math.floor((policy.capacity - known.used) / this.instances));
    if (isAdditive(policy)) return toLocal(charge, share, known, Math.min(share.capacity, left));
    const isNew = !this.#memory.has(policy, identity);
    const used = Math.max(0, share.capacity - left);
    this.#memory.seed(share, identity, used, known.chargedAtMs, 0);
    return { ...toLocal(charge, share, known), isNew };
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

  /** A decision of this process in the terms of what was asked. */
  #toReply(
    mode: 'consume' | 'peek',
    decision: Decision,
    charge: Charge,
    local: LocalCharge,
    nowMs: number,
  ): Decision {
    const { share, known, isNew } = local;
    // Kept beside the store when something was charged to it here, and not for a look.
    if (isNew && decision.receipt === null && !decision.startsBlock)
      this.#memory.drop(charge.policy, charge.identity);
    const receipt = decision.receipt === null ? null : new LocalReceipt(decision, null);
    const reply = { ...decision, charge, receipt };
    if (known === undefined || share.limit === 0) return reply;
    const blockedMs = Math.max(0, known.blockedUntilMs - nowMs);
    if (!isAdditive(charge.policy) && blockedMs === 0) return reply;
    const storeMs = Math.max(blockedMs, known.untilMs - nowMs);
    const resetAfterMs = Math.max(decision.resetAfterMs, storeMs);
    if (decision.allowed) return { ...reply, limit: share.capacity, resetAfterMs };
    // Without what the store has counted, this process has room again when its own charges have ended.
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

  /** Starts the block of a denial that is due to what the store has counted. */
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

  /** Keeps what the store had counted before it was away, where its answer shows that it has forgotten that. */
  #restoreLost(before: KnownUsage, { charge, used, allowed }: Decision, nowMs: number): void {
    const hasForgotten = allowed && used <= charge.cost && before.used > 0 && before.untilMs > nowMs;
    if (!hasForgotten) return;
    const { policy, identity } = charge;
    this.#memory.seed(policy, identity, before.used, before.chargedAtMs, 0);
  }
}

/** A charge as this process decides it, under `limit` where that is lower than its part. */
const toLocal = (
  charge: Charge,
  share: Policy,
  known: KnownUsage | undefined,
  limit = share.limit,
): LocalCharge => ({
  charge: { ...charge, policy: limit === share.limit ? share : withLimit(share, limit) },
  share,
  known,
  isNew: false,
});

/**
 * Decides a request without the store, as the fail modes of its limits say: any `closed` one refuses it, else
 * `local` ones are decided by `local`, and `open` ones are left out. A shadow limit refuses nobody.
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
