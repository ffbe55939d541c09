import { Logger } from '@nestjs/common';
import type { HttpAdapterHost, ModuleRef, ModulesContainer } from '@nestjs/core';
import { systemClock } from '../../core/clock.js';
import { ErrorCollector } from '../../core/errors.js';
import { LimiterParts } from '../../limiter/create.js';
import { DenialLog } from '../../observe/denial-log.js';
import type { RateLimitEvents } from '../../observe/events.js';
import { Observer } from '../../observe/publisher.js';
import { RateLimitStats } from '../../observe/stats/stats.js';
import { createTelemetry } from '../../observe/telemetry.js';
import { RouteCompiler } from '../../plan/compile.js';
import { type ScopeDeclarations, Scopes } from '../../plan/scopes.js';
import type { Store } from '../../store/store.js';
import type { RateLimitContext } from '../context/call-context.js';
import { RATE_LIMIT_OPTIONS, SCOPES_BRAND } from '../handlers/tokens.js';
import { RateLimitGuard } from '../request/guard.js';
import { Refusals } from '../request/refusals.js';
import { Runtime } from '../request/runtime.js';
import { findHandlers, messageHandlerClasses } from './find-handlers.js';
import { guardOverrides } from './guards.js';
import { throttledLogger } from './logging.js';
import type { RateLimitAsyncResult, RateLimitScope, RateLimitScopes } from './options.js';
import { Outages } from './outages.js';
import { PlanRegistry } from './plan-registry.js';
import { Resolvers } from './resolvers.js';
import { compileSettings } from './settings.js';

/** Scopes that a feature brings along, as `forFeature` provides them. */
export interface FeatureScopes {
  readonly [SCOPES_BRAND]: RateLimitScopes;
}

const isFeature = (instance: unknown): instance is FeatureScopes =>
  typeof instance === 'object' && instance !== null && SCOPES_BRAND in instance;

const toDeclarations = (scopes: RateLimitScopes, source: string): ScopeDeclarations<RateLimitContext> => ({
  scopes: scopes as Readonly<Record<string, RateLimitScope>>,
  source,
});

/** The scopes of the module and of every feature, which is named after the module that imports it. */
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

/**
 * Compiles everything there is to know before the first request.
 *
 * @throws RateLimitConfigError with every mistake in the application's limits.
 */
export async function bootstrap(
  options: RateLimitAsyncResult,
  store: Store,
  modules: ModulesContainer,
  adapterHost: HttpAdapterHost,
  moduleRef: ModuleRef,
  events: RateLimitEvents,
): Promise<Runtime> {
  const errors = new ErrorCollector();
  rejectSecondRoot(modules, errors);
  const resolvers = new Resolvers(moduleRef);
  const report = throttledLogger(systemClock);
  const watch = new Outages(events, report);
  const settings = compileSettings(options, store, resolvers.resolve, report, watch, errors);
  const stats = new RateLimitStats({ ...settings.statistics, shared: store.counters, report });
  const scopes = new Scopes<RateLimitContext>(settings.defaults);
  for (const declarations of scopeDeclarations(settings.scopes, modules)) scopes.add(declarations, errors);

  const compiler = new RouteCompiler<RateLimitContext>(settings.limits, scopes);
  compiler.validateModuleLimits(errors);
  const { exempts, identifies } = guardOverrides(modules, RateLimitGuard);
  const ways = { exempts: exempts || settings.exempt !== undefined, identifies };
  const plans = new PlanRegistry(compiler, ways, stats);
  const { all, uncalled } = findHandlers(modules);
  plans.compile(all, errors);
  errors.throwIfAny();

  for (const name of uncalled) {
    new Logger('RateLimit').warn(
      `${name} has limits, but Nest calls it for no request, so that nothing decides them.`,
    );
  }
  const refusals = new Refusals();
  await refusals.load(new Set(all.map(({ transport }) => transport)));
  const { logIdentities, defaults } = settings;
  const denials = logIdentities === null ? null : new DenialLog(systemClock, logIdentities, defaults.hash);
  const { meter, statistics } = settings;
  const telemetry = meter === undefined ? null : createTelemetry(meter, settings.store, report);
  const observer = new Observer(events, denials, statistics === null ? null : stats, telemetry);
  const identity = { hash: settings.defaults.hash, address: settings.normalizeAddress };
  const parts = new LimiterParts(scopes, settings.store, settings.enabled, identity);
  return new Runtime(
    settings,
    plans,
    parts,
    adapterHost,
    refusals,
    resolvers,
    messageHandlerClasses(all),
    observer,
    stats,
  );
}
