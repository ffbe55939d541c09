import { lru } from 'tiny-lru';
import { type Charge, type Decision, isDenial } from '../../core/decision.js';
import type { ReplyListener } from './batcher.js';
import type { Charges, DecidedRequest, Decisions } from './protocol.js';

interface CachedDenial {
  readonly decisions: Decisions;
  /** Arrival of the reply, by the clock of this process; it was true slightly earlier. */
  readonly repliedAtMs: number;
  /** Until then it certainly holds. */
  readonly untilMs: number;
  /** The one request that revalidates it once it has expired, and when that began. */
  revalidation: Promise<DecidedRequest> | null;
  revalidatingSinceMs: number;
}

/** Time of a call, and the number of invalidations before it. */
export interface SendToken {
  readonly atMs: number;
  readonly invalidationCount: number;
}

/** No entry is used for longer, so that a reset by another process takes effect. The script has the same limit. */
const MAX_CACHED_MS = 1_000;
const MAX_DENIALS = 10_000;

/** Returns a decision as it stands some time later, if nothing was charged meanwhile. */
function aged(decision: Decision, charge: Charge, elapsedMs: number): Decision {
  const { resetAfterMs, retryAfterMs, blockedForMs, atMs } = decision;
  return {
    ...decision,
    charge,
    atMs: atMs + elapsedMs,
    resetAfterMs: Math.max(0, resetAfterMs - elapsedMs),
    blockedForMs: Math.max(0, blockedForMs - elapsedMs),
    startsBlock: false,
    retryAfterMs:
      retryAfterMs === null || decision.allowed ? retryAfterMs : Math.max(1, retryAfterMs - elapsedMs),
  };
}

const cacheKey = (charges: Charges): string =>
  charges
    .map(
      (charge) =>
        `${charge.identity} ${charge.policy.bucketKey} ${charge.policy.limit} ${charge.policy.capacity} ${charge.cost} ${charge.shadow} ${charge.blockDurationsMs.join()}`,
    )
    .join('\n');

/**
 * Caches denials for at most one second, so that a flooding client does not flood Redis. When an entry expires, one
 * request revalidates it and concurrent ones wait for that reply (single flight).
 */
export class DenialCache implements ReplyListener<SendToken> {
  readonly #denials = lru<CachedDenial>(MAX_DENIALS).onEvict(({ key, value }) => this.#unindex(key, value));
  /** The keys of an identity's denials. */
  readonly #byIdentity = new Map<string, Set<string>>();
  /**
   * The number of each identity's last invalidation, while calls are in flight that were sent before it. If one is
   * evicted, all calls sent before it count as outdated.
   */
  readonly #invalidations = lru<number>(MAX_DENIALS).onEvict(({ value }) => {
    this.#outdatedBefore = Math.max(this.#outdatedBefore, value);
  });
  #invalidationCount = 0;
  #outdatedBefore = 0;
  #inFlight = 0;

  constructor(readonly now: () => number) {}

  /** Returns false if there is no entry for a request, which may then be sent with this cache as its listener. */
  mayContain(charges: Charges): boolean {
    return this.#byIdentity.has(charges[0]?.identity ?? '');
  }

  onSend(): SendToken {
    this.#inFlight++;
    return { atMs: this.now(), invalidationCount: this.#invalidationCount };
  }

  onReply(charges: Charges, { decisions, steadyMs }: DecidedRequest, token: SendToken): void {
    if (this.#byIdentity.size > 0) {
      for (const { charge, receipt, startsBlock } of decisions)
        if (receipt !== null || startsBlock) this.onCharge(charge);
    }
    const isDenied = decisions.some(isDenial);
    if (isDenied && steadyMs > 0 && this.#isCurrent(token.invalidationCount, charges)) {
      this.#keep(cacheKey(charges), {
        decisions,
        repliedAtMs: this.now(),
        untilMs: token.atMs + steadyMs,
        revalidation: null,
        revalidatingSinceMs: 0,
      });
    } else if (this.mayContain(charges)) this.#drop(cacheKey(charges));
  }

  /** Drops the denials on a bucket, because a charge, its refund or a block changes how long they hold. */
  onCharge({ identity, policy }: Charge): void {
    for (const key of [...(this.#byIdentity.get(identity) ?? [])]) {
      const affects = this.#denials
        .peek(key)
        ?.decisions.some(
          ({ charge }) => charge.identity === identity && charge.policy.bucketKey === policy.bucketKey,
        );
      if (affects) this.#drop(key);
    }
  }

  onSettled(): void {
    this.#inFlight--;
    if (this.#inFlight === 0 && this.#invalidations.size > 0) this.#invalidations.clear();
  }

  /** Returns the cached denial of a request; otherwise calls `fetch`. */
  getOrFetch(
    charges: Charges,
    fetch: () => Promise<DecidedRequest>,
  ): DecidedRequest | Promise<DecidedRequest> {
    if (!this.mayContain(charges)) return this.#fetch(charges, fetch);
    const key = cacheKey(charges);
    const denial = this.#denials.get(key);
    if (denial === undefined) return this.#fetch(charges, fetch);
    const nowMs = this.now();
    // The clock of a test may step back.
    if (nowMs < denial.untilMs && nowMs >= denial.repliedAtMs) return this.#agedReply(denial, charges, nowMs);
    // A revalidation without a reply must not hold up the others for ever.
    if (denial.revalidation !== null && nowMs - denial.revalidatingSinceMs < MAX_CACHED_MS)
      return this.#awaitRevalidation(denial.revalidation, key, charges, fetch);
    const revalidation = this.#fetch(charges, fetch);
    denial.revalidation = revalidation;
    denial.revalidatingSinceMs = nowMs;
    return revalidation;
  }

  /** Drops the denials of an identity, including those of calls in flight. */
  invalidate(identity: string): void {
    if (this.#inFlight > 0) this.#invalidations.set(identity, ++this.#invalidationCount);
    const keys = this.#byIdentity.get(identity);
    if (keys !== undefined) for (const key of [...keys]) this.#drop(key);
  }

  /** Checks that no identity of a request was invalidated since then. */
  #isCurrent(invalidationCount: number, charges: Charges): boolean {
    if (invalidationCount < this.#outdatedBefore) return false;
    return charges.every(({ identity }) => (this.#invalidations.peek(identity) ?? 0) <= invalidationCount);
  }

  #agedReply(
    { decisions, repliedAtMs, untilMs }: CachedDenial,
    charges: Charges,
    nowMs: number,
  ): DecidedRequest {
    const elapsedMs = Math.floor(nowMs - repliedAtMs);
    const now = decisions.map((decision, i) => aged(decision, charges[i] as Charge, elapsedMs));
    return { decisions: now, steadyMs: untilMs - nowMs };
  }

  async #fetch(charges: Charges, fetch: () => Promise<DecidedRequest>): Promise<DecidedRequest> {
    const token = this.onSend();
    try {
      const decided = await fetch();
      this.onReply(charges, decided, token);
      return decided;
    } catch (error) {
      this.#drop(cacheKey(charges));
      throw error;
    } finally {
      this.onSettled();
    }
  }

  /** Waits for a revalidation; if that is a denial again, it holds for all waiting requests. */
  async #awaitRevalidation(
    revalidation: Promise<DecidedRequest>,
    key: string,
    charges: Charges,
    fetch: () => Promise<DecidedRequest>,
  ): Promise<DecidedRequest> {
    await revalidation.catch(() => undefined);
    const denial = this.#denials.get(key);
    return denial === undefined ? this.#fetch(charges, fetch) : this.#agedReply(denial, charges, this.now());
  }

  #keep(key: string, denial: CachedDenial): void {
    this.#denials.set(key, denial);
    for (const { charge } of denial.decisions) {
      const keys = this.#byIdentity.get(charge.identity);
      if (keys === undefined) this.#byIdentity.set(charge.identity, new Set([key]));
      else keys.add(key);
    }
  }

  #drop(key: string): void {
    const denial = this.#denials.peek(key);
    if (denial === undefined) return;
    this.#denials.delete(key);
    this.#unindex(key, denial);
  }

  #unindex(key: string, { decisions }: CachedDenial): void {
    for (const { charge } of decisions) {
      const keys = this.#byIdentity.get(charge.identity);
      keys?.delete(key);
      if (keys?.size === 0) this.#byIdentity.delete(charge.identity);
    }
  }
}
