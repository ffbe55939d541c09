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
import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';
import { refuseRequestScope } from '../nest/lifecycle.js';
import { checkOption, isFunction, isObject, isText, type OptionRules, oneOf } from '../plan/option-rules.js';
import { AdminAccess, AdminApiGuard, AdminPageGuard } from './access.js';
import { apiController, pageController } from './controllers.js';
import { Operator } from './operator.js';
import type { RateLimitAdminAsyncOptions, RateLimitAdminOptions, RateLimitAdminPlace } from './options.js';
import { ADMIN_ACCESS, PROVIDED_GUARDS } from './tokens.js';
import { WrongTokens } from './wrong-tokens.js';

const DEFAULT_PATH = 'admin/rate-limits';

const PLACE_RULES: OptionRules<keyof RateLimitAdminPlace> = {
  imports: null,
  path: { fits: isText, mend: `Give a path such as '${DEFAULT_PATH}'.` },
  page: {
    fits: (value) => typeof value === 'boolean' || oneOf('guarded').fits(value),
    mend: `Give true, false or 'guarded'.`,
  },
  pageDecorators: { fits: Array.isArray, mend: 'Give a list of class decorators.' },
};
const RULES: OptionRules<keyof RateLimitAdminOptions> = {
  ...PLACE_RULES,
  guards: null,
  allowUnguarded: { fits: (value) => typeof value === 'boolean', mend: 'Give true or false.' },
};
const ASYNC_RULES: OptionRules<keyof RateLimitAdminAsyncOptions> = {
  ...PLACE_RULES,
  inject: { fits: Array.isArray, mend: 'Give a list of providers.' },
  useFactory: { fits: isFunction, mend: 'Give a function.' },
};

function checked<T extends object>(options: T, rules: OptionRules, method: string): T {
  if (!isObject(options)) {
    throw mistake(
      'bad-option',
      `RateLimitAdminModule.${method} was given ${shown(options)}.`,
      'Give it an object of options, such as { guards: [AdminGuard] }.',
    );
  }
  for (const [name, value] of Object.entries(options))
    checkOption(name, value, rules, 'of RateLimitAdminModule');
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
  place: RateLimitAdminPlace,
  access: Provider,
  guards: readonly unknown[],
): DynamicModule => {
  const { path = DEFAULT_PATH, page = true, imports = [] } = place;
  return {
    module: RateLimitAdminModule,
    imports,
    controllers: [apiController(path), ...(page === false ? [] : [pageController(path, place)])],
    providers: [
      access,
      providedGuards(guards),
      AdminAccess,
      AdminApiGuard,
      AdminPageGuard,
      WrongTokens,
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
    refuseRequestScope(this.modules, AdminAccess, what, 'nobody would be let in');
  }

  /**
   * @throws RateLimitConfigError `bad-option` for an option that there is not; at start-up, where there are no
   *   guards, unless `allowUnguarded` is true.
   */
  static forRoot(options: RateLimitAdminOptions): DynamicModule {
    const { guards, allowUnguarded, ...place } = checked(options, RULES, 'forRoot');
    const access = { provide: ADMIN_ACCESS, useValue: { guards, allowUnguarded } };
    return adminModule(place, access, Array.isArray(guards) ? guards : []);
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
    const { inject = [], useFactory, ...place } = checked(options, ASYNC_RULES, 'forRootAsync');
    return adminModule(place, { provide: ADMIN_ACCESS, useFactory, inject }, []);
  }
}
