import {
  type CanActivate,
  Inject,
  Injectable,
  type InjectionToken,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { mistake, Problems } from '../core/errors.js';
import { RateLimitEvents } from '../events/events.js';
import { enter, entryGuard } from './entry-guard.js';
import type { RateLimitExceptionFilter } from './filter.js';
import { RateLimitGuard } from './guard.js';
import { connectListeners } from './listeners.js';
import { bindFirstGuard } from './metadata.js';
import type { Runtime } from './runtime.js';
import { GUARD_REGISTERED, RUNTIME } from './tokens.js';

/**
 * Registers the guard ahead of every other global guard. As an APP_GUARD it would run behind those of
 * the root module, such as authentication, and a flood of requests that these refuse would pass it by.
 */
export function registerGuard(
  guard: CanActivate,
  registered: boolean,
  config: ApplicationConfig,
  { messageTypes }: Runtime,
): void {
  if (!registered) return;
  config.addGlobalGuard(guard);
  for (const type of messageTypes) bindFirstGuard(type, entryGuard);
}

/**
 * Registers the filter ahead of every other global one, which is to say behind them: Nest asks the last
 * one first, and a filter of the application is to have the first word.
 */
export const registerFilter = (filter: RateLimitExceptionFilter, config: ApplicationConfig): void =>
  config.addGlobalFilter(filter);

/** Finishes what has to wait until the application is put together, and lets go at its end. */
@Injectable()
export class RateLimitLifecycle implements OnModuleInit, OnApplicationShutdown {
  #leave: () => void = () => undefined;

  constructor(
    @Inject(RUNTIME) private readonly runtime: Runtime,
    @Inject(RateLimitGuard) private readonly guard: CanActivate,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(GUARD_REGISTERED) private readonly registered: boolean,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(RateLimitEvents) private readonly events: RateLimitEvents,
  ) {}

  onModuleInit(): void {
    const problems = new Problems();
    this.runtime.resolvers.load(problems);
    problems.throwIfAny();
    connectListeners(this.modules, this.events);
    this.runtime.plans.stage(this.config, this.registered);
    this.runtime.open();
    if (this.registered) this.#leave = enter(this.runtime.messageTypes, this.guard);
  }

  async onApplicationShutdown(): Promise<void> {
    this.#leave();
    await this.runtime.close();
  }
}

/**
 * Refuses an application in which our providers depend on a request: Nest would make none of them at
 * start-up, and so limit nothing, without a word.
 */
@Injectable()
export class RequestScopeCheck implements OnModuleInit {
  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  onModuleInit(): void {
    refuseRequestScope(this.modules, RUNTIME, 'The options of RateLimitModule depend', LOST);
    refuseRequestScope(this.modules, RateLimitGuard, 'RateLimitGuard depends', LOST);
  }
}

const LOST = 'nothing would be limited';

/** Throws `bad-option` where a provider of ours depends on a request, so that Nest makes none at start-up. */
export function refuseRequestScope(
  modules: ModulesContainer,
  token: InjectionToken,
  what: string,
  loss: string,
): void {
  for (const { providers } of modules.values()) {
    if (providers.get(token)?.isDependencyTreeStatic() !== false) continue;
    throw mistake(
      'bad-option',
      `${what} on a provider of request scope, so that ${loss}.`,
      'Inject providers of the default scope alone; what depends on the request belongs into functions of the context.',
    );
  }
}
