import { type DynamicModule, Inject, Module, Optional, type Provider } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { configError, describeValue } from '../../core/errors.js';
import { RateLimiter } from '../../limiter/rate-limiter.js';
import { RateLimitEvents } from '../../observe/events.js';
import { RateLimitStats } from '../../observe/stats/stats.js';
import {
  GUARD_REGISTERED,
  GUARDED_STORE,
  LIMITER,
  PLANS,
  PUBLISHER,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORE,
  RESPONDER,
  SCOPES,
  SCOPES_BRAND,
  SETTINGS,
  STATISTICS,
} from '../handlers/tokens.js';
import { RateLimitExceptionFilter } from '../request/filter.js';
import { RateLimitGuard } from '../request/guard.js';
import { BOOTSTRAP_PROVIDERS, type FeatureScopes } from './bootstrap.js';
import { RateLimitHealthIndicator } from './health-indicator.js';
import { RateLimitLifecycle, RequestScopeCheck, registerFilter, registerGuard } from './lifecycle.js';
import type {
  RateLimitModuleAsyncOptions,
  RateLimitModuleOptions,
  RateLimitOptionsFactory,
  RateLimitScopes,
} from './options.js';

/** Tokens of providers that are instantiated for their side effect. */
const REGISTERED_GUARD = Symbol('nestjs-ratelimit:registered-guard');
const REGISTERED_FILTER = Symbol('nestjs-ratelimit:registered-filter');

const CORE_PROVIDERS: readonly Provider[] = [
  ...BOOTSTRAP_PROVIDERS,
  RateLimitHealthIndicator,
  RateLimitGuard,
  {
    provide: REGISTERED_GUARD,
    useFactory: registerGuard,
    inject: [RateLimitGuard, GUARD_REGISTERED, ApplicationConfig, PLANS],
  },
  RateLimitExceptionFilter,
  {
    provide: REGISTERED_FILTER,
    useFactory: registerFilter,
    inject: [RateLimitExceptionFilter, ApplicationConfig],
  },
  RateLimitLifecycle,
  RequestScopeCheck,
];

function checkedRegister(registerGuard: unknown): boolean {
  if (typeof registerGuard === 'boolean') return registerGuard;
  throw configError(
    'bad-option',
    `registerGuard cannot be ${describeValue(registerGuard)}.`,
    'Give true or false.',
  );
}

const rootModule = (
  providers: readonly Provider[],
  registerGuard: unknown,
  imports: DynamicModule['imports'] = [],
): DynamicModule => ({
  module: RateLimitModule,
  global: true,
  imports,
  providers: [
    ...providers,
    { provide: GUARD_REGISTERED, useValue: checkedRegister(registerGuard) },
    ...CORE_PROVIDERS,
  ],
  exports: [
    SETTINGS,
    SCOPES,
    PLANS,
    GUARDED_STORE,
    RESPONDER,
    PUBLISHER,
    LIMITER,
    STATISTICS,
    RATE_LIMIT_STORE,
    RateLimiter,
    RateLimitGuard,
    RateLimitEvents,
    RateLimitStats,
    RateLimitHealthIndicator,
  ],
});

/** Returns the providers of the options, which are made in one of three ways. */
function optionsProviders(options: RateLimitModuleAsyncOptions): readonly Provider[] {
  const { inject = [], useFactory, useClass, useExisting } = options;
  if ([useFactory, useClass, useExisting].filter((way) => way !== undefined).length !== 1) {
    throw configError(
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

/** Returns the argument, or throws an error that names the method. */
function objectOf<T extends object>(given: T, method: string): T {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
  throw configError(
    'bad-option',
    `RateLimitModule.${method} was given ${describeValue(given)}.`,
    'Give it an object of options.',
  );
}

/**
 * Limits the requests of an application. It is global: import it once, with the options of every route, and decorate
 * controllers.
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
  /** @internal Typed as unknown, since only Nest calls it. */
  constructor(@Optional() @Inject(SETTINGS) settings?: unknown) {
    if (settings !== undefined) return;
    throw configError(
      'bad-option',
      'RateLimitModule is imported without options, and nowhere with them, so nothing is limited.',
      'Import RateLimitModule.forRoot({ ... }) in the root module.',
    );
  }

  /**
   * Takes options that are known now.
   *
   * An application with errors in its limits does not start: it fails with a `RateLimitConfigError` that lists
   * at least one error of each wrong limit.
   */
  static forRoot(options: RateLimitModuleOptions = {}): DynamicModule {
    const { registerGuard = true, ...others } = objectOf(options, 'forRoot');
    return rootModule([{ provide: RATE_LIMIT_OPTIONS, useValue: others }], registerGuard);
  }

  /**
   * Takes options from other providers.
   *
   * @throws RateLimitConfigError unless one of `useFactory`, `useClass` and `useExisting` is given.
   * @example
   * RateLimitModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ scopes: { login: rate(config.getOrThrow('LOGIN_RATE')) } }),
   * })
   */
  static forRootAsync(options: RateLimitModuleAsyncOptions): DynamicModule {
    const { registerGuard = true, imports } = objectOf(options, 'forRootAsync');
    return rootModule(optionsProviders(options), registerGuard, imports);
  }

  /**
   * Declares scopes next to the module that uses them.
   *
   * @example
   * @Module({ imports: [RateLimitModule.forFeature({ scopes: { upload: '50/day' } })], controllers: [Uploads] })
   * export class UploadModule {}
   */
  static forFeature(options: { readonly scopes: RateLimitScopes }): DynamicModule {
    const { scopes } = objectOf(options, 'forFeature');
    const feature: FeatureScopes = { [SCOPES_BRAND]: objectOf(scopes, 'forFeature') };
    return {
      module: RateLimitFeatureModule,
      providers: [{ provide: Symbol('nestjs-ratelimit:feature'), useValue: feature }],
    };
  }
}

/** Holds the scopes of one `forFeature`. */
@Module({})
export class RateLimitFeatureModule {
  constructor(@Optional() @Inject(SETTINGS) settings: unknown) {
    if (settings !== undefined) return;
    throw configError(
      'bad-option',
      'RateLimitModule.forFeature adds scopes to nothing.',
      'Import RateLimitModule.forRoot in the root module.',
    );
  }
}
