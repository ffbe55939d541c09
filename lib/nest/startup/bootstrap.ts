import { Logger, type Provider } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef, ModulesContainer } from '@nestjs/core';
import { steadyClock } from '../../core/clock.js';
import { type ErrorReporter, throttled } from '../../core/error-reporter.js';
import { ErrorCollector } from '../../core/errors.js';
import { warnOnce } from '../../limiter/create.js';
import { RateLimiter } from '../../limiter/rate-limiter.js';
import { RateLimitEvents } from '../../observe/events.js';
import { Publisher } from '../../observe/publisher.js';
import { RateLimitStats } from '../../observe/stats/stats.js';
import { RouteCompiler } from '../../plan/compile.js';
import { type ScopeDeclarations, Scopes } from '../../plan/scopes.js';
import { type GuardedStore, guardStore } from '../../resilience/guard-store.js';
import { MemoryStore } from '../../store/memory/memory-store.js';
import type { Store } from '../../store/store.js';
import type { RateLimitContext } from '../context/call-context.js';
import {
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
  STATISTICS_REQUESTED,
} from '../handlers/tokens.js';
import { Responder } from '../request/responder.js';
import { findHandlers } from './find-handlers.js';
import type { RateLimitAsyncResult, RateLimitScope, RateLimitScopes } from './options.js';
import { PlanRegistry } from './plan-registry.js';
import { Resolvers } from './resolvers.js';
import { compileSettings, type Settings } from './settings.js';

/** Scopes of a feature, as `forFeature` provides them. */
export interface FeatureScopes {
  readonly [SCOPES_BRAND]: RateLimitScopes;
}

const isFeature = (instance: unknown): instance is FeatureScopes =>
  typeof instance === 'object' && instance !== null && SCOPES_BRAND in instance;

const toDeclarations = (scopes: RateLimitScopes, source: string): ScopeDeclarations<RateLimitContext> => ({
  scopes: scopes as Readonly<Record<string, RateLimitScope>>,
  source,
});

/** Yields the scopes of the module and of every feature, which is named after the module that imports it. */
function* scopeDeclarations(
  scopes: RateLimitScopes,
  modules: ModulesContainer,
): Iterable<ScopeDeclarations<RateLimitContext>> {
  yield toDeclarations(scopes, 'scopes');
  const all = [...modules.values()];
  for (const feature of all) {
    for (const { instance } of feature.providers.values()) {
      if (!isFeature(instance)) continue;
      const importer = all.find(({ imports }) => imports.has(feature));
      yield toDeclarations(instance[SCOPES_BRAND], `${importer?.name ?? feature.name}.scopes`);
    }
  }
}

function rejectSecondRoot(modules: ModulesContainer, errors: ErrorCollector): void {
  const roots = [...modules.values()].filter(({ providers }) => providers.has(RATE_LIMIT_OPTIONS));
  if (roots.length < 2) return;
  errors.add(
    'bad-option',
    'RateLimitModule',
    'forRoot or forRootAsync is imported twice, and only one of them could decide.',
    'Keep one, and add scopes elsewhere with RateLimitModule.forFeature.',
  );
}

/** Reports to Nest's logger, the same message of a source at most once a minute. */
function loggingReporter(): ErrorReporter {
  const logger = new Logger('RateLimit');
  return throttled(steadyClock, (text) => logger.error(text));
}

function makeEvents(): RateLimitEvents {
  const report = loggingReporter();
  return new RateLimitEvents((name, error) => report('events', `A handler of ${name} failed.`, error));
}

function makeSettings(
  options: RateLimitAsyncResult,
  store: Store,
  modules: ModulesContainer,
  resolvers: Resolvers,
  errors: ErrorCollector,
): Settings {
  rejectSecondRoot(modules, errors);
  const defaults = {
    statistics: [...modules.values()].some(({ providers }) => providers.has(STATISTICS_REQUESTED)),
  };
  const report = loggingReporter();
  return compileSettings(options, defaults, store, resolvers.resolve, report, errors);
}

function makeScopes(
  settings: Settings,
  modules: ModulesContainer,
  errors: ErrorCollector,
): Scopes<RateLimitContext> {
  const scopes = new Scopes<RateLimitContext>(settings.defaults);
  for (const declarations of scopeDeclarations(settings.scopes, modules)) scopes.add(declarations, errors);
  return scopes;
}

/** Compiles the limits of all handlers, and throws a `RateLimitConfigError` with all errors found up to here. */
function makePlans(
  settings: Settings,
  scopes: Scopes<RateLimitContext>,
  modules: ModulesContainer,
  errors: ErrorCollector,
): PlanRegistry {
  const compiler = new RouteCompiler<RateLimitContext>(settings.limits, scopes);
  compiler.validateModuleLimits(errors);
  const plans = new PlanRegistry(compiler, modules, settings.exempt !== null);
  const { all, uncalled } = findHandlers(modules);
  plans.compile(all, errors);
  errors.throwIfAny();
  for (const name of uncalled) {
    new Logger('RateLimit').warn(
      `${name} has limits, but Nest calls it for no request, so nothing decides them.`,
    );
  }
  return plans;
}

const STATISTICS_OFF =
  'Statistics are off, so this process counts nothing. Set statistics: true for RateLimitModule.';

/** Makes, from the module's options, everything that a request needs. */
export const BOOTSTRAP_PROVIDERS: readonly Provider[] = [
  {
    provide: RATE_LIMIT_STORE,
    useFactory: (options: RateLimitAsyncResult | undefined) => options?.store ?? new MemoryStore(),
    inject: [RATE_LIMIT_OPTIONS],
  },
  { provide: ErrorCollector, useFactory: () => new ErrorCollector() },
  { provide: Resolvers, useFactory: (moduleRef: ModuleRef) => new Resolvers(moduleRef), inject: [ModuleRef] },
  { provide: RateLimitEvents, useFactory: makeEvents },
  // Not by Nest's logger, which may be what fails.
  { provide: PUBLISHER, useFactory: () => new Publisher(warnOnce) },
  {
    provide: SETTINGS,
    useFactory: makeSettings,
    inject: [RATE_LIMIT_OPTIONS, RATE_LIMIT_STORE, ModulesContainer, Resolvers, ErrorCollector],
  },
  { provide: SCOPES, useFactory: makeScopes, inject: [SETTINGS, ModulesContainer, ErrorCollector] },
  { provide: PLANS, useFactory: makePlans, inject: [SETTINGS, SCOPES, ModulesContainer, ErrorCollector] },
  {
    provide: GUARDED_STORE,
    useFactory: (store: Store, { resilience }: Settings, publisher: Publisher) =>
      guardStore(store, resilience, (event) => publisher.publish(event)),
    // Not before all options are known to be valid.
    inject: [RATE_LIMIT_STORE, SETTINGS, PUBLISHER, PLANS],
  },
  {
    provide: RESPONDER,
    useFactory: (settings: Settings, adapterHost: HttpAdapterHost, { routes }: PlanRegistry) =>
      Responder.create(settings, adapterHost, new Set(routes.map(({ handler }) => handler.transport))),
    inject: [SETTINGS, HttpAdapterHost, PLANS],
  },
  {
    provide: RateLimitStats,
    useFactory: ({ statistics, report }: Settings, store: Store) => {
      const stats = new RateLimitStats({ ...statistics, shared: store.counters, report });
      if (statistics === null) stats.onSnapshot = () => report('RateLimitStats', STATISTICS_OFF);
      return stats;
    },
    inject: [SETTINGS, RATE_LIMIT_STORE, PLANS],
  },
  {
    provide: RateLimiter,
    useFactory: (scopes: Scopes<never>, store: GuardedStore, { enabled, identityFormat }: Settings) =>
      new RateLimiter(scopes, store, identityFormat, enabled),
    inject: [SCOPES, GUARDED_STORE, SETTINGS],
  },
  { provide: LIMITER, useExisting: RateLimiter },
  { provide: STATISTICS, useExisting: RateLimitStats },
];
