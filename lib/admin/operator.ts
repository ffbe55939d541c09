import { ConflictException, Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { systemClock } from '../core/clock.js';
import type { Duration } from '../core/duration.js';
import { configError, describeValue } from '../core/errors.js';
import { RUNTIME } from '../nest/handlers/tokens.js';
import type { Runtime } from '../nest/request/runtime.js';
import type { Limit } from '../plan/limit.js';
import { clientStatus } from './clients.js';
import { LiveStream } from './live.js';
import { modulePaths } from './module-paths.js';
import { healthResponse, statsResponse } from './responses.js';
import { Routes } from './routes.js';

/** Longer than keys write any identity. */
const MAX_IDENTITY_LENGTH = 1_000;

/** A whole number of a query; undefined where it was left out. */
function numberIn(name: string, given: unknown): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^\d{1,6}$/.test(given)) return Number(given);
  throw configError('bad-option', `${name} cannot be ${describeValue(given)}.`, 'Give a whole number.');
}

function checkedIdentity(identity: string): string {
  if (identity.length <= MAX_IDENTITY_LENGTH && identity.trim() !== '') return identity;
  throw configError('bad-key', `${describeValue(identity)} is no identity.`, `Give one such as 'user:42'.`);
}

/** What an operator may see and do. */
@Injectable()
export class Operator implements OnModuleDestroy {
  readonly live: LiveStream;
  #routes: Routes | null = null;

  constructor(
    @Inject(RUNTIME) private readonly runtime: Runtime,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    this.live = new LiveStream(runtime, systemClock);
  }

  onModuleDestroy(): void {
    this.live.end();
  }

  async stats(hours: unknown, top: unknown): Promise<object> {
    if (!this.runtime.isCounting)
      throw new ConflictException('Nothing is counted: statistics are turned off.');
    const asked = { hours: numberIn('hours', hours), top: numberIn('top', top) };
    return statsResponse(await this.runtime.stats.snapshot(asked), this.#routeTable().endpointOf);
  }

  limits(): object {
    return { routes: this.#routeTable().list };
  }

  health(): object {
    return healthResponse(this.runtime.limiter.health());
  }

  client(given: string): Promise<object> {
    const identity = this.runtime.normalize(checkedIdentity(given));
    return clientStatus(identity, this.#limits(), this.runtime.parts.store, systemClock.now);
  }

  block(identity: string, body: unknown): Promise<void> {
    if (!this.runtime.enabled) throw new ConflictException('Nobody can be blocked: limits are turned off.');
    const duration = (body as { readonly for?: Duration } | null | undefined)?.for as Duration;
    return this.runtime.limiter.block({ identity: checkedIdentity(identity), for: duration });
  }

  unblock(identity: string): Promise<void> {
    return this.runtime.limiter.unblock({ identity: checkedIdentity(identity) });
  }

  reset(identity: string): Promise<void> {
    return this.runtime.limiter.reset({ identity: checkedIdentity(identity) });
  }

  /** Not before the first call: prefix and versions are set after modules are put together. */
  #routeTable(): Routes {
    this.#routes ??= new Routes(this.runtime.plans.routes, {
      config: this.config,
      modulePathOf: modulePaths(this.modules),
    });
    return this.#routes;
  }

  *#limits(): Iterable<Limit<never>> {
    const { scopes } = this.runtime.parts;
    for (const name of scopes.names) yield* scopes.get(name);
    for (const { limits } of this.runtime.plans.routes) yield* limits;
  }
}
