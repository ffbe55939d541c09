import { Logger } from '@nestjs/common';
import type { HttpAdapterHost, ModuleRef, ModulesContainer } from '@nestjs/core';
import { systemClock } from '../core/clock.js';
import { Problems } from '../core/errors.js';
import type { RateLimitEvents } from '../events/events.js';
import { RouteCompiler } from '../plan/compile.js';
import { LimiterParts } from '../plan/limiter-parts.js';
import { type ScopeSource, Scopes } from '../plan/scopes.js';
import { RateLimitStats } from '../stats/stats.js';
import type { Store } from '../store/store.js';
import type { RateLimitContext } from './context.js';
import { DenialLog } from './denial-log.js';
import { RateLimitGuard } from './guard.js';
import { ownWays } from './guards.js';
import { findHandlers, messageTypesOf } from './handlers.js';
import { sampledReport } from './log.js';
import { Observer } from './observer.js';
import type { RateLimitAsyncResult, RateLimitScope, RateLimitScopes } from './options.js';
import { Outages } from './outages.js';
import { Plans } from './plans.js';
import { Refusals } from './refusals.js';
import { Resolvers } from './resolvers.js';
import { Runtime } from './runtime.js';
import { compileSettings } from './settings.js';
import { telemetryOn } from './telemetry.js';
import { RATE_LIMIT_OPTIONS, SCOPES_BRAND } from './tokens.js';

/** Scopes that a feature brings along, as `forFeature` provides them. */
export interface FeatureScopes {
  readonly [SCOPES_BRAND]: RateLimitScopes;
}

const isFeature = (instance: unknown): instance is FeatureScopes =>
  typeof instance === 'object' && instance !== null && SCOPES_BRAND in instance;

const sourceOf = (scopes: RateLimitScopes, place: string): ScopeSource<RateLimitContext> => ({
  scopes: scopes as Readonly<Record<string, RateLimitScope>>,
  place,
});

/** The scopes of the module and of every feature, which is named after the module that imports it. */
function* scopeSources(
  scopes: RateLimitScopes,
  modules: ModulesContainer,
): Iterable<ScopeSource<RateLimitContext>> {
  yield sourceOf(scopes, 'scopes');
  const all = [...modules.values()];
  for (const feature of all) {
    for (const { instance } of feature.providers.values()) {
      if (!isFeature(instance)) continue;
      const importer = all.find(({ imports }) => imports.has(feature));
      yield sourceOf(instance[SCOPES_BRAND], `${importer?.name ?? feature.name}.scopes`);
    }
  }
}

function refuseSecondRoot(modules: ModulesContainer, problems: Problems): void {
  const roots = [...modules.values()].filter(({ providers }) => providers.has(RATE_LIMIT_OPTIONS));
  if (roots.length < 2) return;
  problems.add(
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
export async function explore(
  options: RateLimitAsyncResult,
  store: Store,
  modules: ModulesContainer,
  adapterHost: HttpAdapterHost,
  moduleRef: ModuleRef,
  events: RateLimitEvents,
): Promise<Runtime> {
  const problems = new Problems();
  refuseSecondRoot(modules, problems);
  const resolvers = new Resolvers(moduleRef);
  const report = sampledReport(systemClock);
  const watch = new Outages(events, report);
  const settings = compileSettings(options, store, resolvers.resolve, report, watch, problems);
  const stats = new RateLimitStats({ ...settings.statistics, shared: store.counters, report });
  const scopes = new Scopes<RateLimitContext>(settings.defaults);
  for (const source of scopeSources(settings.scopes, modules)) scopes.add(source, problems);

  const compiler = new RouteCompiler<RateLimitContext>(settings.limits, scopes);
  compiler.checkModuleLimits(problems);
  const { exempts, identifies } = ownWays(modules, RateLimitGuard);
  const ways = { exempts: exempts || settings.exempt !== undefined, identifies };
  const plans = new Plans(compiler, ways, stats);
  const { all, inVain } = findHandlers(modules);
  plans.compile(all, problems);
  problems.throwIfAny();

  for (const name of inVain) {
    new Logger('RateLimit').warn(
      `${name} has limits, but Nest calls it for no request, so that nothing decides them.`,
    );
  }
  const refusals = new Refusals();
  await refusals.load(new Set(all.map(({ transport }) => transport)));
  const { logIdentities, defaults } = settings;
  const denials = logIdentities === null ? null : new DenialLog(systemClock, logIdentities, defaults.hash);
  const { meter, statistics } = settings;
  const telemetry = meter === undefined ? null : telemetryOn(meter, settings.store, report);
  const observer = new Observer(events, denials, statistics === null ? null : stats, telemetry);
  const identity = { hash: settings.defaults.hash, address: settings.addressForm };
  const parts = new LimiterParts(scopes, settings.store, settings.enabled, identity);
  return new Runtime(
    settings,
    plans,
    parts,
    adapterHost,
    refusals,
    resolvers,
    messageTypesOf(all),
    observer,
    stats,
  );
}
