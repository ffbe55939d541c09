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
import type { Publisher } from '../../observe/publisher.js';
import { RateLimitStats } from '../../observe/stats/stats.js';
import type { Telemetry } from '../../observe/telemetry.js';
import type { GuardedStore } from '../../resilience/guard-store.js';
import { messageGuard, registerMessageGuard } from '../handlers/message-guard.js';
import { bindFirstGuard } from '../handlers/metadata.js';
import { GUARD_REGISTERED, GUARDED_STORE, PLANS, PUBLISHER, SETTINGS } from '../handlers/tokens.js';
import type { RateLimitExceptionFilter } from '../request/filter.js';
import { RateLimitGuard } from '../request/guard.js';
import { messageHandlerClasses } from './find-handlers.js';
import { connectListeners } from './listeners.js';
import type { PlanRegistry } from './plan-registry.js';
import { Resolvers } from './resolvers.js';
import type { Settings } from './settings.js';
import { subscribeAll } from './subscribers.js';

/**
 * Registers the guard before all other global guards. As an APP_GUARD it would run after those of the root module, such
 * as authentication, and a flood of requests that these reject would not be limited.
 */
export function registerGuard(
  guard: CanActivate,
  registered: boolean,
  config: ApplicationConfig,
  { routes }: PlanRegistry,
): void {
  if (!registered) return;
  config.addGlobalGuard(guard);
  for (const type of messageHandlerClasses(routes)) bindFirstGuard(type, messageGuard);
}

/** Registers the filter so that Nest asks it last: a filter of the application goes first. */
export const registerFilter = (filter: RateLimitExceptionFilter, config: ApplicationConfig): void =>
  config.addGlobalFilter(filter);

/** Completes the start once the application is put together, and releases everything at its end. */
@Injectable()
export class RateLimitLifecycle implements OnModuleInit, OnApplicationShutdown {
  #unregister: () => void = () => undefined;
  #telemetry: Telemetry | null = null;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(PLANS) private readonly plans: PlanRegistry,
    @Inject(GUARDED_STORE) private readonly store: GuardedStore,
    @Inject(PUBLISHER) private readonly publisher: Publisher,
    @Inject(Resolvers) private readonly resolvers: Resolvers,
    @Inject(RateLimitGuard) private readonly guard: CanActivate,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(GUARD_REGISTERED) private readonly registered: boolean,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(RateLimitEvents) private readonly events: RateLimitEvents,
    @Inject(RateLimitStats) private readonly stats: RateLimitStats,
  ) {}

  onModuleInit(): void {
    const errors = new ErrorCollector();
    this.resolvers.resolveAll(errors);
    this.plans.finalize(this.config, this.registered, errors);
    errors.throwIfAny();
    connectListeners(this.modules, this.events);
    this.#telemetry = subscribeAll(this.publisher, this.settings, this.store, this.events, this.stats);
    // Nobody waits for the store: a request waits at most for its time budget.
    if (this.settings.enabled && 'open' in this.store) void this.store.open();
    if (this.registered)
      this.#unregister = registerMessageGuard(messageHandlerClasses(this.plans.routes), this.guard);
  }

  async onApplicationShutdown(): Promise<void> {
    this.#unregister();
    this.#telemetry?.close();
    await this.stats.close();
    await this.store.close();
  }
}

/**
 * Rejects an application in which our providers depend on a request: Nest would instantiate none of them at start-up,
 * and silently limit nothing.
 */
@Injectable()
export class RequestScopeCheck implements OnModuleInit {
  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  onModuleInit(): void {
    rejectRequestScope(this.modules, SETTINGS, 'The options of RateLimitModule depend', LOST);
    rejectRequestScope(this.modules, RateLimitGuard, 'RateLimitGuard depends', LOST);
  }
}

const LOST = 'nothing would be limited';

/** Throws `bad-option` if a provider of ours depends on a request, so that Nest instantiates none at start-up. */
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
      `${what} on a request-scoped provider, so ${loss}.`,
      'Inject only providers of the default scope; put what depends on the request into functions of the context.',
    );
  }
}
