import { type Charge, type Decision, denies } from '../../core/decision.js';
import type { Hearing } from './batcher.js';
import { type Charges, chargeText, type Decided } from './messages.js';

interface Denial {
  readonly decisions: Decided;
  /** When the answer came, on the clock of this process: it was true a little before. */
  readonly answeredAtMs: number;
  /** Until when it is sure to hold. */
  readonly untilMs: number;
  /** The one request that asks again, once it is no longer sure, and since when it has been asking. */
  recheck: Promise<Decided> | null;
  recheckSinceMs: number;
}

/** When a server was asked, and how often something had been forgotten by then. */
export interface Asked {
  readonly atMs: number;
  readonly forgets: number;
}

/** No longer than this, so that a reset elsewhere takes hold. */
const LONGEST_MS = 1_000;
const MOST_DENIALS = 10_000;

/** How long a denied request is denied at least. */
function waitOf(decisions: Decided): number {
  let waitMs = 0;
  for (const decision of decisions) {
    if (denies(decision)) waitMs = Math.max(waitMs, decision.retryAfterMs ?? LONGEST_MS);
  }
  return Math.min(waitMs, LONGEST_MS);
}

/** A decision as it stands some time later, when nothing has been charged since. */
function later(decision: Decision, charge: Charge, elapsedMs: number): Decision {
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
  charges.map((charge) => `${charge.identity} ${charge.policy.tail} ${chargeText(charge)}`).join('\n');

/**
 * Remembers denials while they are sure to hold, so that a flood of requests from one caller is not a flood
 * for the server. When one is no longer sure, a single request asks again, and the others wait for it.
 */
export class KnownDenials implements Hearing<Asked> {
  readonly #denials = new Map<string, Denial>();
  readonly #byIdentity = new Map<string, Set<string>>();
  /** When identities were last forgotten, counted, while answers are under way that may know no better. */
  readonly #forgotten = new Map<string, number>();
  #forgets = 0;
  /** Of answers asked for before this count nothing is known. */
  #unknownBefore = 0;
  #asking = 0;

  constructor(readonly now: () => number) {}

  /** Whether something may be known of a request: whoever asks about others is to let this hear of the answer. */
  mayKnow(charges: Charges): boolean {
    return this.#byIdentity.has(charges[0]?.identity ?? '');
  }

  asking(): Asked {
    this.#asking++;
    return { atMs: this.now(), forgets: this.#forgets };
  }

  heard(charges: Charges, decisions: Decided, asked: Asked): void {
    const waitMs = waitOf(decisions);
    if (waitMs > 0 && this.#holdsSince(asked.forgets, charges)) {
      this.#keep(nameOf(charges), {
        decisions,
        answeredAtMs: this.now(),
        untilMs: asked.atMs + waitMs,
        recheck: null,
        recheckSinceMs: 0,
      });
    } else if (this.mayKnow(charges)) this.#drop(nameOf(charges));
  }

  answered(): void {
    this.#asking--;
    if (this.#asking === 0) this.#forgotten.clear();
  }

  /** Decides a request, by what is known or else by `ask`. */
  decide(charges: Charges, ask: () => Promise<Decided>): Decided | Promise<Decided> {
    if (!this.mayKnow(charges)) return this.#ask(charges, ask);
    const name = nameOf(charges);
    const denial = this.#denials.get(name);
    if (denial === undefined) return this.#ask(charges, ask);
    const nowMs = this.now();
    // The clock of a test may step back.
    if (nowMs < denial.untilMs && nowMs >= denial.answeredAtMs) return this.#told(denial, charges, nowMs);
    // One that is never answered must not hold up the others for ever.
    if (denial.recheck !== null && nowMs - denial.recheckSinceMs < LONGEST_MS)
      return this.#join(denial.recheck, name, charges, ask);
    const recheck = this.#ask(charges, ask);
    denial.recheck = recheck;
    denial.recheckSinceMs = nowMs;
    return recheck;
  }

  /** Forgets what concerns an identity. */
  forget(identity: string): void {
    if (this.#asking > 0) this.#noteForgotten(identity);
    const names = this.#byIdentity.get(identity);
    if (names !== undefined) for (const name of [...names]) this.#drop(name);
  }

  #noteForgotten(identity: string): void {
    this.#forgets++;
    if (this.#forgotten.size >= MOST_DENIALS) {
      this.#forgotten.clear();
      this.#unknownBefore = this.#forgets;
    }
    this.#forgotten.set(identity, this.#forgets);
  }

  /** Whether nothing of a request was forgotten since. */
  #holdsSince(forgets: number, charges: Charges): boolean {
    if (forgets < this.#unknownBefore) return false;
    return charges.every(({ identity }) => (this.#forgotten.get(identity) ?? 0) <= forgets);
  }

  #told({ decisions, answeredAtMs }: Denial, charges: Charges, nowMs: number): Decided {
    const elapsedMs = Math.floor(nowMs - answeredAtMs);
    return decisions.map((decision, at) => later(decision, charges[at] as Charge, elapsedMs));
  }

  async #ask(charges: Charges, ask: () => Promise<Decided>): Promise<Decided> {
    const asked = this.asking();
    try {
      const decisions = await ask();
      this.heard(charges, decisions, asked);
      return decisions;
    } catch (error) {
      this.#drop(nameOf(charges));
      throw error;
    } finally {
      this.answered();
    }
  }

  /** Waits for a re-check, which answers all who wait when it is another denial. */
  async #join(
    recheck: Promise<Decided>,
    name: string,
    charges: Charges,
    ask: () => Promise<Decided>,
  ): Promise<Decided> {
    await recheck.catch(() => undefined);
    const denial = this.#denials.get(name);
    return denial === undefined ? this.#ask(charges, ask) : this.#told(denial, charges, this.now());
  }

  #keep(name: string, denial: Denial): void {
    this.#drop(name);
    if (this.#denials.size >= MOST_DENIALS) this.#drop(this.#denials.keys().next().value as string);
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
