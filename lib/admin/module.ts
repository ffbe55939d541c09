import {
  type CanActivate,
  type DynamicModule,
  Inject,
  Module,
  type OnModuleInit,
  type Provider,
  type Type,
} from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { isFunction, isNonEmptyString, type OptionRules, validateOptions } from '../core/validate.js';
import { STATISTICS_REQUESTED } from '../nest/handlers/tokens.js';
import { rejectRequestScope } from '../nest/startup/lifecycle.js';
import { ACCESS_RULES, ADMIN_GUARDS, AdminAccess, AdminApiGuard, resolveGuards } from './access.js';
import { apiController } from './api-controller.js';
import type {
  RateLimitAdminAsyncOptions,
  RateLimitAdminOptions,
  RateLimitAdminRouteOptions,
} from './options.js';
import { pageController } from './page-controller.js';
import { AdminResponder } from './responder.js';

const DEFAULT_PATH = 'admin/rate-limits';

const ROUTE_RULES: OptionRules<keyof RateLimitAdminRouteOptions> = {
  imports: null,
  path: { accepts: isNonEmptyString, fix: `Give a path such as '${DEFAULT_PATH}'.` },
  page: {
    accepts: (value) => typeof value === 'boolean' || value === 'guarded',
    fix: `Give true, false or 'guarded'.`,
  },
  pageDecorators: { accepts: Array.isArray, fix: 'Give a list of class decorators.' },
};
const RULES: OptionRules<keyof RateLimitAdminOptions> = {
  ...ROUTE_RULES,
  ...ACCESS_RULES,
};
const ASYNC_RULES: OptionRules<keyof RateLimitAdminAsyncOptions> = {
  ...ROUTE_RULES,
  inject: { accepts: Array.isArray, fix: 'Give a list of providers.' },
  useFactory: { accepts: isFunction, fix: 'Give a function.' },
};

const adminModule = (route: RateLimitAdminRouteOptions, guards: Provider): DynamicModule => {
  const { path = DEFAULT_PATH, page = true, imports = [] } = route;
  return {
    module: RateLimitAdminModule,
    imports,
    controllers: [apiController(path), ...(page === false ? [] : [pageController(path, route)])],
    providers: [
      guards,
      AdminAccess,
      AdminApiGuard,
      AdminResponder,
      { provide: STATISTICS_REQUESTED, useValue: true },
    ],
  };
};

/**
 * An API for operators, and a page that uses it. It shows statistics, every route with its limits, and the
 * buckets of clients, and it blocks, unblocks and resets clients. It needs `RateLimitModule`, and guards.
 *
 * @example
 * RateLimitAdminModule.forRoot({ path: 'admin/rate-limits', guards: [AdminGuard] })
 */
@Module({})
export class RateLimitAdminModule implements OnModuleInit {
  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  onModuleInit(): void {
    const subject = 'The guards of RateLimitAdminModule depend';
    rejectRequestScope(this.modules, AdminAccess, subject, 'nobody would have access');
  }

  /**
   * @throws RateLimitConfigError `bad-option` for an invalid option; at start-up, if there are no guards and
   *   `allowUnguarded` is not true.
   */
  static forRoot(options: RateLimitAdminOptions): DynamicModule {
    validateOptions(options, RULES, 'RateLimitAdminModule.forRoot');
    const { guards = [], allowUnguarded, ...route } = options;
    const types = guards.filter(isFunction) as readonly Type<CanActivate>[];
    return adminModule(route, {
      provide: ADMIN_GUARDS,
      // Guard classes that imported modules provide have instances; the others are created.
      useFactory: (moduleRef: ModuleRef, ...instances: readonly (CanActivate | undefined)[]) => {
        const resolved = guards.map((guard) => instances[types.indexOf(guard as Type<CanActivate>)] ?? guard);
        return resolveGuards({ guards: resolved, allowUnguarded }, moduleRef);
      },
      inject: [ModuleRef, ...types.map((token) => ({ token, optional: true }))],
    });
  }

  /**
   * Takes the guards from a factory that uses other providers.
   *
   * @example
   * RateLimitAdminModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ guards: [new TokenGuard(config.getOrThrow('ADMIN_TOKEN'))] }),
   * })
   */
  static forRootAsync(options: RateLimitAdminAsyncOptions): DynamicModule {
    validateOptions(options, ASYNC_RULES, 'RateLimitAdminModule.forRootAsync');
    const { inject = [], useFactory, ...route } = options;
    return adminModule(route, {
      provide: ADMIN_GUARDS,
      useFactory: async (moduleRef: ModuleRef, ...args: never[]) =>
        resolveGuards(await useFactory(...args), moduleRef),
      inject: [ModuleRef, ...inject],
    });
  }
}
