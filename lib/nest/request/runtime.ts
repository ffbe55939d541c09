import type { ExecutionContext, Type } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { type Awaitable, andThen, isPromise } from '../../core/awaitable.js';
import type { Outcome } from '../../core/decision.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { normalizeIdentity } from '../../identity/identity.js';
import type { LimiterParts } from '../../limiter/create.js';
import { RateLimiter } from '../../limiter/rate-limiter.js';
import type { Observer } from '../../observe/publisher.js';
import type { RateLimitStats } from '../../observe/stats/stats.js';
import { decide, decideWithoutUser, type IdentityResolver, type PartlyDecided } from '../../plan/evaluate.js';
import type { Limit } from '../../plan/limit.js';
import { UnknownRateError } from '../../plan/rate-source.js';
import { StoreUnavailableError } from '../../store/store.js';
import { RateLimitContext, type TransportReader } from '../context/call-context.js';
import { TRANSPORTS } from '../context/transports/index.js';
import type { TransportName } from '../context/transports/transport.js';
import { ProxyDetector } from '../context/untrusted-proxy.js';
import type { PlanRegistry, RoutePlan } from '../startup/plan-registry.js';
import type { Resolvers } from '../startup/resolvers.js';
import type { Settings } from '../startup/settings.js';
import { UserDiagnostics } from '../startup/user-diagnostics.js';
import { findListing } from './access-lists.js';
import { EarlyAsks } from './early-asks.js';
import type { Refusals } from './refusals.js';
import { Responder } from './responder.js';

/** What the guard works with: everything that could be worked out at start-up. */
export class Runtime {
  readonly enabled: boolean;
  readonly responder: Responder;
  readonly limiter: RateLimiter;
  /** Whether there are lists of callers to look at. */
  readonly hasLists: boolean;
  readonly earlyAsks = new EarlyAsks();
  readonly #userDiagnostics = new UserDiagnostics();
  readonly #settings: Settings;
  readonly #readers: Readonly<Record<string, TransportReader | undefined>>;

  constructor(
    settings: Settings,
    readonly plans: PlanRegistry,
    readonly parts: LimiterParts,
    adapterHost: HttpAdapterHost,
    refusals: Refusals,
    readonly resolvers: Resolvers,
    /** Classes of handlers that global guards may not reach. */
    readonly messageTypes: ReadonlySet<Type>,
    readonly observer: Observer,
    readonly stats: RateLimitStats,
  ) {
    this.#settings = settings;
    this.limiter = new RateLimiter(parts);
    this.enabled = settings.enabled;
    this.hasLists = settings.lists.allow !== null || settings.lists.deny !== null;
    this.responder = new Responder(settings, adapterHost, refusals);
    this.#readers = readersOf(settings);
  }

  /** The call as functions of limits see it; null over a transport that the library does not know. */
  contextOf(execution: ExecutionContext): RateLimitContext | null {
    const reader = this.#readers[execution.getType<TransportName>()];
    return reader === undefined ? null : new RateLimitContext(execution, reader);
  }

  /** Connects to the store, for which nothing waits. */
  open(): void {
    if (this.enabled) void this.#settings.store.open();
  }

  /** Writes what is counted, and lets go of what the store holds. */
  async close(): Promise<void> {
    this.observer.telemetry?.close();
    await this.stats.close();
    await this.#settings.store.close();
  }

  /** Whether requests are counted. */
  get isCounting(): boolean {
    return this.enabled && this.observer.stats !== null;
  }

  get report(): ErrorReporter {
    return this.#settings.defaults.report;
  }

  /** Notes whether limits asked for a user, and whether there was one. */
  noteUser(plan: RoutePlan, context: RateLimitContext): void {
    if (context.askedInVain || plan.userOnlyLimit !== null) this.#userDiagnostics.note(plan, context);
  }

  /** An identity that a guard of the application has found, as keys write it. */
  normalize(identity: string): string {
    const { defaults, normalizeAddress } = this.#settings;
    return normalizeIdentity(identity, { hash: defaults.hash, address: normalizeAddress });
  }

  /** Whether the lists allow a caller without limits; refuses one that they deny. */
  screen(context: RateLimitContext): Awaitable<boolean> {
    return andThen(findListing(this.#settings.lists, context), (listing) => {
      if (listing === 'deny') throw this.responder.forbidden(context);
      return listing === 'allow';
    });
  }

  /** Whether the module's options exempt the caller. */
  exempt(context: RateLimitContext): Awaitable<boolean> {
    const { exempt } = this.#settings;
    return exempt === undefined ? false : exempt(context);
  }

  /** Gives back what a first stage took. A store that fails then gives it back by its expiry. */
  async giveBack(outcome: Outcome): Promise<void> {
    try {
      await this.limiter.refund(outcome);
    } catch (error) {
      this.report('store', 'A charge could not be given back.', error);
    }
  }

  /** Decides limits for a call, and goes on with `next`; throws the refusal of a call that cannot be decided. */
  decide<T>(
    plan: RoutePlan,
    limits: readonly Limit<RateLimitContext>[],
    context: RateLimitContext,
    identify: IdentityResolver<RateLimitContext>,
    next: (outcome: Outcome) => T,
  ): Awaitable<T> {
    const startMs = this.#startMs();
    let outcome: Awaitable<Outcome>;
    try {
      outcome = decide(limits, context, this.#settings.store, identify);
    } catch (error) {
      return this.#refuse(plan, context, error, startMs);
    }
    if (!isPromise(outcome)) return next(this.#timed(startMs, outcome));
    return outcome.then(
      (known) => next(this.#timed(startMs, known)),
      (error) => this.#refuse(plan, context, error, startMs),
    );
  }

  /** Decides limits that may ask for a user who is not known yet; those that do are left over. */
  decideWithoutUser<T>(
    plan: RoutePlan,
    context: RateLimitContext,
    identify: IdentityResolver<RateLimitContext>,
    next: (decided: PartlyDecided<RateLimitContext>) => T,
  ): Awaitable<T> {
    const startMs = this.#startMs();
    const goOn = (decided: PartlyDecided<RateLimitContext>): T => {
      this.#timed(startMs, decided.outcome);
      return next(decided);
    };
    const refuse = (error: unknown): never => this.#refuse(plan, context, error, startMs);
    let decided: Awaitable<PartlyDecided<RateLimitContext>>;
    try {
      decided = decideWithoutUser(plan.beforeGuards, context, this.#settings.store, identify);
    } catch (error) {
      return refuse(error);
    }
    return isPromise(decided) ? decided.then(goOn, refuse) : goOn(decided);
  }

  /** When a decision begins; 0 where nothing is measured. */
  #startMs(): number {
    return this.observer.telemetry === null ? 0 : performance.now();
  }

  #timed(startMs: number, outcome: Outcome): Outcome {
    this.observer.telemetry?.timed(startMs, outcome);
    return outcome;
  }

  #refuse(plan: RoutePlan, context: RateLimitContext, error: unknown, startMs: number): never {
    this.observer.telemetry?.failed(startMs, error);
    if (error instanceof StoreUnavailableError) {
      this.observer.refused(plan, context, error);
      throw this.responder.unavailable(context, error);
    }
    this.observer.failed(plan);
    // A rate that cannot be told has been reported where it was asked for.
    if (!(error instanceof UnknownRateError)) {
      this.report('store', 'A request could not be decided.', error);
    }
    throw this.responder.unavailable(context, null);
  }
}

function readersOf({
  normalizeAddress,
  resolveAddress,
  user,
}: Settings): Record<string, TransportReader | undefined> {
  const shared = {
    normalizeAddress,
    resolveAddress,
    userOf: user,
    proxyDetector: new ProxyDetector(normalizeAddress),
  };
  return Object.fromEntries(
    Object.entries(TRANSPORTS).map(([name, transport]) => [name, { transport, ...shared }]),
  );
}
