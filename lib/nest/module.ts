import { type DynamicModule, Inject, Module, Optional, type Provider } from '@nestjs/common';
import { APP_FILTER, ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { mistake } from '../core/errors.js';
import { RateLimiter } from '../plan/rate-limiter.js';
import { explore, type FeatureScopes, RateLimitLifecycle } from './explorer.js';
import { RateLimitExceptionFilter } from './filter.js';
import { RateLimitGuard } from './guard.js';
import type {
  RateLimitModuleAsyncOptions,
  RateLimitModuleOptions,
  RateLimitOptionsFactory,
  RateLimitScopes,
} from './options.js';
import type { Runtime } from './runtime.js';
import { RATE_LIMIT_OPTIONS, RUNTIME, SCOPES_BRAND } from './tokens.js';

const CORE_PROVIDERS: readonly Provider[] = [
  { provide: RUNTIME, useFactory: explore, inject: [RATE_LIMIT_OPTIONS, ModulesContainer, HttpAdapterHost] },
  { provide: RateLimiter, useFactory: (runtime: Runtime) => runtime.limiter, inject: [RUNTIME] },
  RateLimitLifecycle,
  RateLimitGuard,
  RateLimitExceptionFilter,
  { provide: APP_FILTER, useExisting: RateLimitExceptionFilter },
];

/**
 * Registers the guard ahead of every other global guard. As an APP_GUARD it would run behind those of
 * the root module, such as authentication, and a flood of failing log-ins would pass it by. It is the
 * provider that is registered, so that `overrideProvider(RateLimitGuard)` replaces it.
 */
const REGISTERED_GUARD: Provider = {
  provide: Symbol('nestjs-ratelimit:registered-guard'),
  useFactory: (guard: RateLimitGuard, config: ApplicationConfig) => config.addGlobalGuard(guard),
  inject: [RateLimitGuard, ApplicationConfig],
};

const rootModule = (
  providers: readonly Provider[],
  registerGuard: boolean,
  imports: DynamicModule['imports'] = [],
): DynamicModule => ({
  module: RateLimitModule,
  global: true,
  imports,
  providers: [...providers, ...CORE_PROVIDERS, ...(registerGuard ? [REGISTERED_GUARD] : [])],
  exports: [RUNTIME, RateLimiter, RateLimitGuard],
});

/** Providers of the options, one of three ways. */
function optionsProviders(options: RateLimitModuleAsyncOptions): readonly Provider[] {
  const { inject = [], useFactory, useClass, useExisting } = options;
  if ([useFactory, useClass, useExisting].filter((way) => way !== undefined).length !== 1) {
    throw mistake(
      'bad-option',
      'RateLimitModule.forRootAsync takes one way to make its options.',
      'Give one of useFactory, useClass and useExisting.',
    );
  }
  if (useFactory !== undefined) return [{ provide: RATE_LIMIT_OPTIONS, useFactory, inject }];
  const factory = useExisting ?? useClass;
  const fromClass: Provider = {
    provide: RATE_LIMIT_OPTIONS,
    useFactory: (maker: RateLimitOptionsFactory) => maker.createRateLimitOptions(),
    inject: [factory as NonNullable<typeof factory>],
  };
  return useClass === undefined ? [fromClass] : [fromClass, useClass];
}

/**
 * Rate limiting for an application. Global: import it once, with the options of every route, and
 * decorate controllers.
 *
 * @example
 * @Module({ imports: [RateLimitModule.forRoot({
 *   scopes: { login: '5/15min' },
 *   limits: [{ name: 'burst', rate: '60/min', key: 'user|ip' }],
 * })] })
 * export class AppModule {}
 */
@Module({})
export class RateLimitModule {
  /**
   * With options known now.
   *
   * The application does not start with a mistake in its limits: it fails with a `RateLimitConfigError`
   * that names all of them.
   */
  static forRoot({ registerGuard = true, ...options }: RateLimitModuleOptions = {}): DynamicModule {
    return rootModule([{ provide: RATE_LIMIT_OPTIONS, useValue: options }], registerGuard);
  }

  /**
   * With options from other providers.
   *
   * @throws RateLimitConfigError unless one of `useFactory`, `useClass` and `useExisting` is given.
   * @example
   * RateLimitModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ scopes: { login: rate(config.getOrThrow('LOGIN_RATE')) } }),
   * })
   */
  static forRootAsync(options: RateLimitModuleAsyncOptions): DynamicModule {
    return rootModule(optionsProviders(options), options.registerGuard ?? true, options.imports);
  }

  /**
   * Adds scopes beside the module that uses them.
   *
   * @example
   * @Module({ imports: [RateLimitModule.forFeature({ scopes: { upload: '50/day' } })], controllers: [Uploads] })
   * export class UploadModule {}
   */
  static forFeature({ scopes }: { readonly scopes: RateLimitScopes }): DynamicModule {
    const feature: FeatureScopes = { [SCOPES_BRAND]: scopes };
    return {
      module: RateLimitFeatureModule,
      providers: [{ provide: Symbol('nestjs-ratelimit:feature'), useValue: feature }],
    };
  }
}

/** Carries the scopes of one `forFeature`. */
@Module({})
export class RateLimitFeatureModule {
  constructor(@Optional() @Inject(RUNTIME) runtime: Runtime | undefined) {
    if (runtime !== undefined) return;
    throw mistake(
      'bad-option',
      'RateLimitModule.forFeature adds scopes to nothing.',
      'Import RateLimitModule.forRoot in the root module.',
    );
  }
}
