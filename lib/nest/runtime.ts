import type { ExecutionContext } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import type { Outcome } from '../core/decision.js';
import type { RateLimiter } from '../plan/rate-limiter.js';
import { UnknownRateError } from '../plan/rate-source.js';
import type { Later, Store } from '../store/store.js';
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
  readonly store: Store;
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
    this.store = settings.store;
    this.responder = new Responder(settings, adapterHost, refusals);
    this.#readers = readersOf(settings);
  }

  /** The call as functions of limits see it; null over a transport that the library does not know. */
  contextOf(execution: ExecutionContext): RateLimitContext | null {
    const reader = this.#readers[execution.getType<TransportName>()];
    return reader === undefined ? null : new RateLimitContext(execution, reader);
  }

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

  /** What to throw for a call that could not be decided. */
  unavailable(context: RateLimitContext, error: unknown): Error {
    // A rate that cannot be told has been reported where it was asked for.
    if (!(error instanceof UnknownRateError)) {
      this.#settings.defaults.report('store', 'A request could not be decided.', error);
    }
    return this.responder.unavailable(context);
  }
}

const readersOf = ({ ipv6Prefix, user }: Settings): Record<string, CallerReader | undefined> =>
  Object.fromEntries(
    Object.entries(TRANSPORTS).map(([name, transport]) => [name, { transport, ipv6Prefix, userOf: user }]),
  );
