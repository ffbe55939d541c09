import { RequestMethod, type Type, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { parseRate } from '../core/rate.js';
import { formatDuration, formatRate } from '../http/duration-words.js';
import type { RateLimitContext } from '../nest/context/call-context.js';
import type { CompiledRoute } from '../nest/startup/diagnostics.js';
import type { Handler } from '../nest/startup/find-handlers.js';
import type { Limit } from '../plan/limit.js';
import { RateByLoad } from '../plan/load.js';
import type { KeyRule, RateRule } from '../plan/options.js';

type RouteLimit = Limit<RateLimitContext>;
type Version = string | typeof VERSION_NEUTRAL;

/** The metadata keys of Nest's decorators. */
const PATH = 'path';
const METHOD = 'method';
const VERSION = '__version__';
/** The metadata key of a module's path in `RouterModule`; the id of the application follows it. */
const MODULE_PATH = '__module_path__';

const functionName = ({ name }: { readonly name: string }): string => name || 'function';

/** Returns a rate as its declaration writes it; for a function, only its name. */
function rateText(rule: RateRule<RateLimitContext>): string {
  if (typeof rule === 'string') return rule;
  if (typeof rule === 'function') return functionName(rule);
  if (rule === null) return 'unlimited';
  if (rule instanceof RateByLoad) return namedRatesText(rule.rates);
  if ('default' in rule) return namedRatesText(rule);
  const rate = parseRate(rule as Parameters<typeof parseRate>[0]);
  if (rate === null) return 'unlimited';
  return rate.burst === undefined ? formatRate(rate) : `${formatRate(rate)}, burst ${rate.burst}`;
}

const namedRatesText = (rates: object): string =>
  Object.entries(rates)
    .map(([name, rate]) => `${name}: ${rateText(rate)}`)
    .join(', ');

function limitRateText({ options: { rate, burst } }: RouteLimit): string {
  return burst === undefined ? rateText(rate) : `${rateText(rate)}, burst ${burst}`;
}

const keyText = (key: KeyRule<RateLimitContext>): string =>
  typeof key === 'string' ? key : functionName(key);

const blockText = (durationsMs: readonly number[]): string | null =>
  durationsMs.length === 0
    ? null
    : durationsMs.map((ms) => formatDuration(ms / 1_000) || `${ms} ms`).join(', then ');

const SOURCES = { global: 'module', scope: 'scope', class: 'class', route: 'method' } as const;

const limitResponse = (limit: RouteLimit) => ({
  name: limit.name,
  scope: limit.scope,
  rate: limitRateText(limit),
  key: keyText(limit.key),
  algorithm: limit.template.algorithm,
  cost: typeof limit.cost === 'number' ? limit.cost : 'function',
  shadow: limit.shadow,
  block: blockText(limit.blockDurationsMs),
  methods: limit.options.methods ?? null,
  conditional: (limit.options.when ?? limit.options.skipIf) !== undefined,
  counts_when: limit.countWhen !== null,
  fail_mode: limit.template.failMode,
  source: limit.isModuleLimit ? 'module' : SOURCES[limit.reach],
});

const toList = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value as T];

const metadata = <T>(key: string, target: object): T | undefined =>
  Reflect.getMetadata(key, target) as T | undefined;

/** Joins segments, with or without slashes around them, to one path. */
const joinPath = (...segments: readonly string[]): string =>
  `/${segments
    .map((segment) => segment.replace(/^\/+|\/+$/g, ''))
    .filter((segment) => segment !== '')
    .join('/')}`;

/** Returns the version segments in the paths of a handler; '' for none, as with versions in a header. */
function versionSegments({ type, method }: Handler, config: ApplicationConfig): readonly string[] {
  const versioning = config.getVersioning();
  if (versioning?.type !== VersioningType.URI) return [''];
  const versions = toList(
    metadata<Version | readonly Version[]>(VERSION, method) ??
      metadata<Version | readonly Version[]>(VERSION, type) ??
      (versioning.defaultVersion as Version | readonly Version[] | undefined) ??
      VERSION_NEUTRAL,
  );
  const prefix = versioning.prefix === false ? '' : (versioning.prefix ?? 'v');
  return versions.map((version) => (typeof version === 'string' ? `${prefix}${version}` : ''));
}

/** Returns true for a path that the application excludes from the global prefix. */
function isExcluded(path: string, method: number | undefined, config: ApplicationConfig): boolean {
  const exclude = config.getGlobalPrefixOptions().exclude ?? [];
  return exclude.some(
    ({ pathRegex, requestMethod }) =>
      (requestMethod === RequestMethod.ALL || requestMethod === method) && pathRegex.test(path),
  );
}

/** Returns the path that `RouterModule` gives to the module of a controller; '' for none. */
function modulePath(type: Type, modules: ModulesContainer): string {
  for (const { metatype, controllers } of modules.values()) {
    if (![...controllers.values()].some((wrapper) => wrapper.metatype === type)) continue;
    return metadata<string>(MODULE_PATH + modules.applicationId, metatype) ?? '';
  }
  return '';
}

/** Returns the paths of an HTTP handler. */
function handlerPaths(
  handler: Handler,
  config: ApplicationConfig,
  modules: ModulesContainer,
): readonly string[] {
  const method = metadata<number>(METHOD, handler.method);
  const paths: string[] = [];
  for (const version of versionSegments(handler, config)) {
    for (const classPath of toList(metadata<string | readonly string[]>(PATH, handler.type))) {
      for (const methodPath of toList(metadata<string | readonly string[]>(PATH, handler.method))) {
        const path = joinPath(modulePath(handler.type, modules), classPath, methodPath);
        const prefix = isExcluded(path, method, config) ? '' : config.getGlobalPrefix();
        paths.push(joinPath(prefix, version, path));
      }
    }
  }
  return paths;
}

/** Lists every route with its limits, and with the method and path that clients use. */
export class RouteTable {
  /** Null for a name that several classes have. */
  readonly #endpoints = new Map<string, string | null>();
  readonly list;

  constructor(routes: readonly CompiledRoute[], config: ApplicationConfig, modules: ModulesContainer) {
    this.list = routes.map(({ handler, limits }) => {
      const isHttp = handler.transport === 'http';
      const path = isHttp ? handlerPaths(handler, config, modules).join(', ') : '';
      const method = isHttp ? (RequestMethod[metadata<number>(METHOD, handler.method) ?? -1] ?? null) : null;
      const isDuplicate = this.#endpoints.has(handler.name);
      this.#endpoints.set(handler.name, path === '' || isDuplicate ? null : `${method} ${path}`);
      const { name: route, transport } = handler;
      return { route, transport, method, path: path || null, limits: limits.map(limitResponse) };
    });
  }

  /**
   * Returns `POST /auth/login` for `AuthController.login`; the route itself if it has no path, or if several
   * routes have its name.
   */
  readonly endpointOf = (route: string): string => this.#endpoints.get(route) ?? route;
}
