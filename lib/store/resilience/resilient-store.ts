import { type Clock, systemClock } from '../../core/clock.js';
import { type Charge, type Decision, denies, uncharged } from '../../core/decision.js';
import type { StoreHealth } from '../../core/health.js';
import { isPromise, type Later } from '../../core/later.js';
import { MemoryStore } from '../memory/memory-store.js';
import { type Store, type StoreReply, type StoreTarget, StoreUnavailableError } from '../store.js';
import { Beside } from './beside.js';
import type { Breaker } from './breaker.js';
import { Breakers } from './breakers.js';
import { Deadlines } from './deadlines.js';
import { decideWithout } from './fail-modes.js';
import { LocalLimits } from './local-limits.js';
import { FIRST_PROBE, probe } from './probe.js';
import { LocalReceipt, takeReceipts } from './receipts.js';
import { isReply, NO_DECISIONS } from './reply.js';
import type { ResilienceSettings, StoreWatch } from './resilience.js';
import { Returns } from './returns.js';
import { NoAnswerError, within } from './within.js';

/** Calls of an operator may take longer than those of a request. */
const OPERATOR_MS = 2_000;

/** Whether a request is to be decided, or only to be looked at. */
type How = 'consume' | 'peek';

/** A request that the store has been asked about. */
interface Question {
  readonly how: How;
  readonly charges: readonly Charge[];
  readonly startedMs: number;
  /** What stands in this process beside the store; null for nothing. */
  readonly beside: Beside | null;
  /** What was decided without an answer; null for a request that was turned away. */
  without: readonly Decision[] | null;
}

/**
 * A store that may fail, made safe: decisions within a time budget, no calls to what fails, and limits as
 * their fail modes say meanwhile. No charge is ever sent twice.
 */
export class ResilientStore implements Store {
  readonly shared: boolean;
  readonly secret: string | undefined;
  readonly #local: LocalLimits;
  readonly #deadlines: Deadlines<Question, StoreReply, StoreReply>;
  readonly #breakers: Breakers;
  readonly #returns: Returns;
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
    this.#returns = new Returns(store);
    this.#local = new LocalLimits(clock, settings.instances);
    this.#deadlines = new Deadlines(settings.timeoutMs, clock, {
      answered: (question, reply) => this.#answered(question, reply),
      failed: (question, error) => this.#failed(question, error),
      late: (question) => this.#failed(question, new NoAnswerError(settings.timeoutMs)),
      tooLate: (question, reply) => this.#tooLate(question, reply),
    });
    this.#breakers = new Breakers(settings.breaker, clock, {
      partOf: store.partOf?.bind(store),
      probe: (identity) => probe(store, identity, settings.timeoutMs, clock),
      changed: (part, breaker) => this.#changed(part, breaker),
    });
    store.onReady?.(() => this.#breakers.probeNow());
  }

  /** Connects the store and probes it, so that an outage is known before the first request. */
  async open(): Promise<void> {
    if (this.store.open === undefined) return;
    try {
      await within(OPERATOR_MS, this.clock, async () => this.store.open?.());
      await probe(this.store, FIRST_PROBE, OPERATOR_MS, this.clock);
    } catch (error) {
      this.#breakers.open(FIRST_PROBE, error);
    }
  }

  /** How many buckets this process keeps beside the store. */
  get keptLocally(): number {
    return this.#local.size;
  }

  health(): StoreHealth {
    return {
      status: this.#breakers.allClosed ? 'up' : 'degraded',
      parts: this.#breakers.health(),
      degraded: this.#degraded,
    };
  }

  consume(charges: readonly Charge[]): Later<StoreReply> {
    return this.#decide('consume', charges);
  }

  peek(charges: readonly Charge[]): Later<StoreReply> {
    return this.#decide('peek', charges);
  }

  async refund(decisions: readonly Decision[]): Promise<void> {
    const { local, store } = takeReceipts(decisions);
    this.#local.refund(local);
    if (store.length === 0) return;
    for (const decision of store) this.#local.noteRefunded(decision, uncharged(decision));
    const broken = this.#breakers.inTheWayOf(store.map(({ charge }) => charge));
    await this.#operate(broken, () => this.store.refund(store));
  }

  reset(target: StoreTarget): Promise<void> {
    this.#local.reset(target);
    return this.#operate(this.#breakers.inTheWayTo(target.identity), () => this.store.reset(target));
  }

  block(identity: string, forMs: number): Promise<void> {
    if (this.#canFail) this.#local.block(identity, forMs);
    return this.#operate(this.#breakers.inTheWayTo(identity), () => this.store.block(identity, forMs));
  }

  unblock(identity: string): Promise<void> {
    this.#local.unblock(identity);
    return this.#operate(this.#breakers.inTheWayTo(identity), () => this.store.unblock(identity));
  }

  /** Lets what is under way end first, which its time budget sees to. */
  async close(): Promise<void> {
    this.#breakers.end();
    await this.#deadlines.idle();
    this.#local.close();
    await this.store.close?.();
  }

  #decide(how: How, charges: readonly Charge[]): Later<StoreReply> {
    const broken = this.#breakers.inTheWayOf(charges);
    if (broken !== null) return this.#without(how, charges, broken.error);
    const beside = this.#local.beside(how, charges);
    if (beside === null || beside instanceof Beside) return this.#ask(how, charges, beside);
    this.#noteDegraded(charges, null);
    return { decisions: beside, degraded: true };
  }

  #ask(how: How, charges: readonly Charge[], beside: Beside | null): Later<StoreReply> {
    let reply: Later<StoreReply>;
    try {
      reply = this.store[how](beside === null ? charges : beside.asked);
    } catch (error) {
      return this.#failed(this.#question(how, charges, beside), error);
    }
    if (isPromise(reply)) return this.#deadlines.wait(this.#question(how, charges, beside), reply);
    if (beside === null && !this.#learnsAtOnce && isReply(reply)) return reply;
    return this.#answered(this.#question(how, charges, beside), reply);
  }

  #question(how: How, charges: readonly Charge[], beside: Beside | null): Question {
    return { how, charges, startedMs: this.clock.now(), beside, without: null };
  }

  #answered(question: Question, reply: StoreReply): StoreReply {
    if (!isReply(reply)) return this.#failed(question, NO_DECISIONS);
    const nowMs = this.clock.now();
    this.#breakers.answered(question.charges, nowMs);
    if (question.how === 'consume') this.#local.note(reply.decisions, nowMs, question.startedMs);
    const { beside } = question;
    return beside === null ? reply : { ...reply, decisions: beside.merged(reply.decisions) };
  }

  #failed(question: Question, error: unknown): StoreReply {
    const { how, charges, beside, startedMs } = question;
    beside?.undo();
    this.#breakers.failed(charges, error, startedMs);
    const reply = this.#without(how, charges, error);
    if (!reply.decisions.some(denies)) question.without = reply.decisions;
    return reply;
  }

  /** Decides without the store; throws for a limit that does not go on without it. */
  #without(how: How, charges: readonly Charge[], cause: unknown): StoreReply {
    this.#noteDegraded(charges, cause);
    const retryAfterMs = this.#breakers.inTheWayOf(charges)?.retryAfterMs ?? 0;
    const local = (some: readonly Charge[]) => this.#local[how](some);
    return { decisions: decideWithout(charges, local, retryAfterMs, cause), degraded: true };
  }

  /** The store has charged what was decided without it: a request that was turned away is to be charged for nothing. */
  #tooLate({ how, without, startedMs }: Question, reply: StoreReply): void {
    if (how === 'peek' || !isReply(reply)) return;
    const charged = reply.decisions.filter(({ receipt }) => receipt !== null);
    if (without === null) {
      this.#returns.add(charged);
      return;
    }
    this.#local.note(reply.decisions, this.clock.now(), startedMs);
    for (const decision of charged) {
      const { policy, identity } = decision.charge;
      const ours = without.find(
        ({ charge }) => charge.policy.tail === policy.tail && charge.identity === identity,
      );
      if (!(ours?.receipt instanceof LocalReceipt)) continue;
      if (ours.receipt.isGivenBack) this.#giveBack(decision);
      else this.#local.handOver(ours.receipt, decision);
    }
  }

  /** Has the store give back what was given back here before anybody knew that it had charged it. */
  #giveBack(decision: Decision): void {
    this.#local.noteRefunded(decision, uncharged(decision));
    this.#returns.add([decision]);
  }

  #noteDegraded(charges: readonly Charge[], cause: unknown): void {
    this.#degraded++;
    this.watch.degraded(charges, cause);
  }

  /** Has the store do what is no decision; where it fails, the caller hears of it. */
  async #operate(broken: Breaker | null, call: () => Later<void>): Promise<void> {
    if (broken !== null) throw new StoreUnavailableError(broken.retryAfterMs, [], broken.error);
    const done = call();
    if (isPromise(done)) await within(OPERATOR_MS, this.clock, () => done);
  }

  #changed(part: string, { state, error }: Breaker): void {
    if (state === 'open') this.#local.noteAway();
    this.watch.breaker(part, state, error);
    const nowMs = this.clock.now();
    if (this.#outage === null) this.#outage = { sinceMs: nowMs, degradedBefore: this.#degraded };
    if (!this.#breakers.allClosed) return;
    const { sinceMs, degradedBefore } = this.#outage;
    this.#outage = null;
    this.watch.recovered(nowMs - sinceMs, this.#degraded - degradedBefore);
  }
}
