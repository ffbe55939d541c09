import {
  type CanActivate,
  Inject,
  Injectable,
  type InjectionToken,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { configError, ErrorCollector } from '../../core/errors.js';
import { RateLimitEvents } from '../../observe/events.js';
import { messageGuard, registerMessageGuard } from '../handlers/message-guard.js';
import { bindFirstGuard } from '../handlers/metadata.js';
import { GUARD_REGISTERED, RUNTIME } from '../handlers/tokens.js';
import type { RateLimitExceptionFilter } from '../request/filter.js';
import { RateLimitGuard } from '../request/guard.js';
import type { Runtime } from '../request/runtime.js';
import { connectListeners } from './listeners.js';

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
  for (const type of messageTypes) bindFirstGuard(type, messageGuard);
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
  #unregister: () => void = () => undefined;

  constructor(
    @Inject(RUNTIME) private readonly runtime: Runtime,
    @Inject(RateLimitGuard) private readonly guard: CanActivate,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(GUARD_REGISTERED) private readonly registered: boolean,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(RateLimitEvents) private readonly events: RateLimitEvents,
  ) {}

  onModuleInit(): void {
    const errors = new ErrorCollector();
    this.runtime.resolvers.resolveAll(errors);
    errors.throwIfAny();
    connectListeners(this.modules, this.events);
    this.runtime.plans.finalize(this.config, this.registered);
    this.runtime.open();
    if (this.registered) this.#unregister = registerMessageGuard(this.runtime.messageTypes, this.guard);
  }

  async onApplicationShutdown(): Promise<void> {
    this.#unregister();
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
    rejectRequestScope(this.modules, RUNTIME, 'The options of RateLimitModule depend', LOST);
    rejectRequestScope(this.modules, RateLimitGuard, 'RateLimitGuard depends', LOST);
  }
}

const LOST = 'nothing would be limited';

/** Throws `bad-option` where a provider of ours depends on a request, so that Nest makes none at start-up. */
export function rejectRequestScope(
  modules: ModulesContainer,
  token: InjectionToken,
  what: string,
  loss: string,
): void {
  for (const { providers } of modules.values()) {
    if (providers.get(token)?.isDependencyTreeStatic() !== false) continue;
    throw configError(
      'bad-option',
      `${what} on a provider of request scope, so that ${loss}.`,
      'Inject providers of the default scope alone; what depends on the request belongs into functions of the context.',
    );
  }
}
