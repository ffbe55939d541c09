import {
  type CanActivate,
  type DynamicModule,
  Inject,
  Module,
  type OnModuleInit,
  type Provider,
  type Type,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { configError, describeValue } from '../core/errors.js';
import {
  isFunction,
  isNonEmptyString,
  isObject,
  type OptionRules,
  oneOf,
  validateOption,
} from '../core/validate.js';
import { rejectRequestScope } from '../nest/startup/lifecycle.js';
import { AdminAccess, AdminApiGuard, AdminPageGuard } from './access.js';
import { apiController, pageController } from './controllers.js';
import { FailedAttempts } from './failed-attempts.js';
import { Operator } from './operator.js';
import type {
  RateLimitAdminAsyncOptions,
  RateLimitAdminOptions,
  RateLimitAdminRouteOptions,
} from './options.js';
import { ADMIN_ACCESS, PROVIDED_GUARDS } from './tokens.js';

const DEFAULT_PATH = 'admin/rate-limits';

const ROUTE_RULES: OptionRules<keyof RateLimitAdminRouteOptions> = {
  imports: null,
  path: { accepts: isNonEmptyString, fix: `Give a path such as '${DEFAULT_PATH}'.` },
  page: {
    accepts: (value) => typeof value === 'boolean' || oneOf('guarded').accepts(value),
    fix: `Give true, false or 'guarded'.`,
  },
  pageDecorators: { accepts: Array.isArray, fix: 'Give a list of class decorators.' },
};
const RULES: OptionRules<keyof RateLimitAdminOptions> = {
  ...ROUTE_RULES,
  guards: null,
  allowUnguarded: { accepts: (value) => typeof value === 'boolean', fix: 'Give true or false.' },
};
const ASYNC_RULES: OptionRules<keyof RateLimitAdminAsyncOptions> = {
  ...ROUTE_RULES,
  inject: { accepts: Array.isArray, fix: 'Give a list of providers.' },
  useFactory: { accepts: isFunction, fix: 'Give a function.' },
};

function checked<T extends object>(options: T, rules: OptionRules, method: string): T {
  if (!isObject(options)) {
    throw configError(
      'bad-option',
      `RateLimitAdminModule.${method} was given ${describeValue(options)}.`,
      'Give it an object of options, such as { guards: [AdminGuard] }.',
    );
  }
  for (const [name, value] of Object.entries(options))
    validateOption(name, value, rules, 'of RateLimitAdminModule');
  return options;
}

/** Those of the guards' classes that this module's imports provide: others are made. */
const providedGuards = (guards: readonly unknown[]): Provider => {
  const types = guards.filter(isFunction) as readonly Type<CanActivate>[];
  return {
    provide: PROVIDED_GUARDS,
    useFactory: (...found: readonly (CanActivate | undefined)[]) =>
      new Map(types.flatMap((type, at) => (found[at] === undefined ? [] : [[type, found[at]]]))),
    inject: types.map((token) => ({ token, optional: true })),
  };
};

const adminModule = (
  route: RateLimitAdminRouteOptions,
  access: Provider,
  guards: readonly unknown[],
): DynamicModule => {
  const { path = DEFAULT_PATH, page = true, imports = [] } = route;
  return {
    module: RateLimitAdminModule,
    imports,
    controllers: [apiController(path), ...(page === false ? [] : [pageController(path, route)])],
    providers: [
      access,
      providedGuards(guards),
      AdminAccess,
      AdminApiGuard,
      AdminPageGuard,
      FailedAttempts,
      Operator,
    ],
  };
};

/**
 * An API for operators, and a page over it: statistics, every route with its limits, clients and their buckets,
 * which it can block, unblock and reset. It needs `RateLimitModule`, and guards.
 *
 * @example
 * RateLimitAdminModule.forRoot({ path: 'admin/rate-limits', guards: [AdminGuard] })
 */
@Module({})
export class RateLimitAdminModule implements OnModuleInit {
  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  onModuleInit(): void {
    const what = 'The guards of RateLimitAdminModule depend';
    rejectRequestScope(this.modules, AdminAccess, what, 'nobody would be let in');
  }

  /**
   * @throws RateLimitConfigError `bad-option` for an option that there is not; at start-up, where there are no
   *   guards, unless `allowUnguarded` is true.
   */
  static forRoot(options: RateLimitAdminOptions): DynamicModule {
    const { guards, allowUnguarded, ...route } = checked(options, RULES, 'forRoot');
    const access = { provide: ADMIN_ACCESS, useValue: { guards, allowUnguarded } };
    return adminModule(route, access, Array.isArray(guards) ? guards : []);
  }

  /**
   * With guards from other providers.
   *
   * @example
   * RateLimitAdminModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ guards: [new TokenGuard(config.getOrThrow('ADMIN_TOKEN'))] }),
   * })
   */
  static forRootAsync(options: RateLimitAdminAsyncOptions): DynamicModule {
    const { inject = [], useFactory, ...route } = checked(options, ASYNC_RULES, 'forRootAsync');
    return adminModule(route, { provide: ADMIN_ACCESS, useFactory, inject }, []);
  }
}
