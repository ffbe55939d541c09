import { type Charge, type Decision, isDenial } from '../../core/decision.js';
import type { ReplyListener } from './batcher.js';
import { type Charges, type Decisions, encodeCharge } from './protocol.js';

interface CachedDenial {
  readonly decisions: Decisions;
  /** When the answer came, on the clock of this process: it was true a little before. */
  readonly answeredAtMs: number;
  /** Until when it is sure to hold. */
  readonly untilMs: number;
  /** The one request that asks again, once it is no longer sure, and since when it has been asking. */
  revalidation: Promise<Decisions> | null;
  revalidatingSinceMs: number;
}

/** When a server was asked, and how often something had been forgotten by then. */
export interface SendToken {
  readonly atMs: number;
  readonly invalidationCount: number;
}

/** No longer than this, so that a reset elsewhere takes hold. */
const MAX_CACHED_MS = 1_000;
const MAX_DENIALS = 10_000;

/** How long a denied request is denied at least. */
function waitOf(decisions: Decisions): number {
  let waitMs = 0;
  for (const decision of decisions) {
    if (isDenial(decision)) waitMs = Math.max(waitMs, decision.retryAfterMs ?? MAX_CACHED_MS);
  }
  return Math.min(waitMs, MAX_CACHED_MS);
}

/** A decision as it stands some time later, when nothing has been charged since. */
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

const nameOf = (charges: Charges): string =>
  charges.map((charge) => `${charge.identity} ${charge.policy.bucketKey} ${encodeCharge(charge)}`).join('\n');

/**
 * Remembers denials while they are sure to hold, so that a flood of requests from one caller is not a flood
 * for the server. When one is no longer sure, a single request asks again, and the others wait for it.
 */
export class DenialCache implements ReplyListener<SendToken> {
  readonly #denials = new Map<string, CachedDenial>();
  readonly #byIdentity = new Map<string, Set<string>>();
  /** When identities were last forgotten, counted, while answers are under way that may know no better. */
  readonly #invalidations = new Map<string, number>();
  #invalidationCount = 0;
  /** Of answers asked for before this count nothing is known. */
  #unknownBefore = 0;
  #inFlight = 0;

  constructor(readonly now: () => number) {}

  /** Whether something may be known of a request: whoever asks about others is to let this hear of the answer. */
  mayContain(charges: Charges): boolean {
    return this.#byIdentity.has(charges[0]?.identity ?? '');
  }

  onSend(): SendToken {
    this.#inFlight++;
    return { atMs: this.now(), invalidationCount: this.#invalidationCount };
  }

  onReply(charges: Charges, decisions: Decisions, token: SendToken): void {
    const waitMs = waitOf(decisions);
    if (waitMs > 0 && this.#holdsSince(token.invalidationCount, charges)) {
      this.#keep(nameOf(charges), {
        decisions,
        answeredAtMs: this.now(),
        untilMs: token.atMs + waitMs,
        revalidation: null,
        revalidatingSinceMs: 0,
      });
    } else if (this.mayContain(charges)) this.#drop(nameOf(charges));
  }

  onSettled(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#invalidations.clear();
  }

  /** Decides a request, by what is known or else by `fetch`. */
  getOrFetch(charges: Charges, fetch: () => Promise<Decisions>): Decisions | Promise<Decisions> {
    if (!this.mayContain(charges)) return this.#fetch(charges, fetch);
    const name = nameOf(charges);
    const denial = this.#denials.get(name);
    if (denial === undefined) return this.#fetch(charges, fetch);
    const nowMs = this.now();
    // The clock of a test may step back.
    if (nowMs < denial.untilMs && nowMs >= denial.answeredAtMs)
      return this.#agedReply(denial, charges, nowMs);
    // One that is never answered must not hold up the others for ever.
    if (denial.revalidation !== null && nowMs - denial.revalidatingSinceMs < MAX_CACHED_MS)
      return this.#awaitRevalidation(denial.revalidation, name, charges, fetch);
    const revalidation = this.#fetch(charges, fetch);
    denial.revalidation = revalidation;
    denial.revalidatingSinceMs = nowMs;
    return revalidation;
  }

  /** Forgets what concerns an identity. */
  invalidate(identity: string): void {
    if (this.#inFlight > 0) this.#noteInvalidation(identity);
    const names = this.#byIdentity.get(identity);
    if (names !== undefined) for (const name of [...names]) this.#drop(name);
  }

  #noteInvalidation(identity: string): void {
    this.#invalidationCount++;
    if (this.#invalidations.size >= MAX_DENIALS) {
      this.#invalidations.clear();
      this.#unknownBefore = this.#invalidationCount;
    }
    this.#invalidations.set(identity, this.#invalidationCount);
  }

  /** Whether nothing of a request was forgotten since. */
  #holdsSince(invalidationCount: number, charges: Charges): boolean {
    if (invalidationCount < this.#unknownBefore) return false;
    return charges.every(({ identity }) => (this.#invalidations.get(identity) ?? 0) <= invalidationCount);
  }

  #agedReply({ decisions, answeredAtMs }: CachedDenial, charges: Charges, nowMs: number): Decisions {
    const elapsedMs = Math.floor(nowMs - answeredAtMs);
    return decisions.map((decision, at) => aged(decision, charges[at] as Charge, elapsedMs));
  }

  async #fetch(charges: Charges, fetch: () => Promise<Decisions>): Promise<Decisions> {
    const token = this.onSend();
    try {
      const decisions = await fetch();
      this.onReply(charges, decisions, token);
      return decisions;
    } catch (error) {
      this.#drop(nameOf(charges));
      throw error;
    } finally {
      this.onSettled();
    }
  }

  /** Waits for a re-check, which answers all who wait when it is another denial. */
  async #awaitRevalidation(
    revalidation: Promise<Decisions>,
    name: string,
    charges: Charges,
    fetch: () => Promise<Decisions>,
  ): Promise<Decisions> {
    await revalidation.catch(() => undefined);
    const denial = this.#denials.get(name);
    return denial === undefined ? this.#fetch(charges, fetch) : this.#agedReply(denial, charges, this.now());
  }

  #keep(name: string, denial: CachedDenial): void {
    this.#drop(name);
    if (this.#denials.size >= MAX_DENIALS) this.#drop(this.#denials.keys().next().value as string);
    this.#denials.set(name, denial);
    for (const { charge } of denial.decisions) {
      const names = this.#byIdentity.get(charge.identity);
      if (names === undefined) this.#byIdentity.set(charge.identity, new Set([name]));
      else names.add(name);
    }
  }

  #drop(name: string): void {
    const denial = this.#denials.get(name);
    if (denial === undefined) return;
    this.#denials.delete(name);
    for (const { charge } of denial.decisions) {
      const names = this.#byIdentity.get(charge.identity);
      names?.delete(name);
      if (names?.size === 0) this.#byIdentity.delete(charge.identity);
    }
  }
}
