import type { ExecutionContext } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import type { Outcome } from '../core/decision.js';
import { decide, type Identify } from '../plan/decide.js';
import { isPromise } from '../plan/later.js';
import type { Limit } from '../plan/limit.js';
import type { RateLimiter } from '../plan/rate-limiter.js';
import { UnknownRateError } from '../plan/rate-source.js';
import type { Later } from '../store/store.js';
import { type CallerReader, RateLimitContext } from './context.js';
import { LateUsers } from './late-users.js';
import type { Plans } from './plans.js';
import type { Refusals } from './refusals.js';
import { Responder } from './responder.js';
import type { Settings } from './settings.js';
import { TRANSPORTS } from './transports/index.js';
import type { TransportName } from './transports/transport.js';

/** What the guard works with: everything that could be worked out at start-up. */
export class Runtime {
  readonly enabled: boolean;
  readonly responder: Responder;
  readonly lateUsers = new LateUsers();
  readonly #settings: Settings;
  readonly #readers: Readonly<Record<string, CallerReader | undefined>>;

  constructor(
    settings: Settings,
    readonly plans: Plans,
    readonly limiter: RateLimiter,
    adapterHost: HttpAdapterHost,
    refusals: Refusals,
  ) {
    this.#settings = settings;
    this.enabled = settings.enabled;
    this.responder = new Responder(settings, adapterHost, refusals);
    this.#readers = readersOf(settings);
  }

  /** The call as functions of limits see it; null over a transport that the library does not know. */
  contextOf(execution: ExecutionContext): RateLimitContext | null {
    const reader = this.#readers[execution.getType<TransportName>()];
    return reader === undefined ? null : new RateLimitContext(execution, reader);
  }

  /** Lets go of what the store holds. */
  async close(): Promise<void> {
    await this.#settings.store.close?.();
  }

  /** Whether the module's options exempt the caller. */
  exempt(context: RateLimitContext): Later<boolean> {
    const { exempt } = this.#settings;
    return exempt === undefined ? false : exempt(context);
  }

  /** Gives back what a first stage took. A store that fails then gives it back by its expiry. */
  async giveBack(outcome: Outcome): Promise<void> {
    try {
      await this.limiter.refund(outcome);
    } catch (error) {
      this.#settings.defaults.report('store', 'A charge could not be given back.', error);
    }
  }

  /** Decides limits for a call; throws the refusal of one that cannot be decided, never anything else. */
  decide(
    limits: readonly Limit<RateLimitContext>[],
    context: RateLimitContext,
    identify: Identify<RateLimitContext>,
  ): Later<Outcome> {
    try {
      const outcome = decide(limits, context, this.#settings.store, identify);
      return isPromise(outcome) ? outcome.catch((error) => this.#refuse(context, error)) : outcome;
    } catch (error) {
      return this.#refuse(context, error);
    }
  }

  #refuse(context: RateLimitContext, error: unknown): never {
    // A rate that cannot be told has been reported where it was asked for.
    if (!(error instanceof UnknownRateError)) {
      this.#settings.defaults.report('store', 'A request could not be decided.', error);
    }
    throw this.responder.unavailable(context);
  }
}

const readersOf = ({ ipv6Prefix, user }: Settings): Record<string, CallerReader | undefined> =>
  Object.fromEntries(
    Object.entries(TRANSPORTS).map(([name, transport]) => [name, { transport, ipv6Prefix, userOf: user }]),
  );
