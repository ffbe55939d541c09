import { RequestMethod, type Type, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
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

/** Nest's own words for what its decorators note. */
const PATH = 'path';
const METHOD = 'method';
const VERSION = '__version__';

const nameOfFunction = (given: { readonly name: string }): string => given.name || 'function';

/** A rate as it was written, as far as text says it. */
function rateText(rule: RateRule<RateLimitContext>): string {
  if (typeof rule === 'string') return rule;
  if (typeof rule === 'function') return nameOfFunction(rule);
  if (rule === null) return 'unlimited';
  if (rule instanceof RateByLoad) return byName(rule.rates);
  if ('default' in rule) return byName(rule);
  const rate = parseRate(rule as Parameters<typeof parseRate>[0]);
  if (rate === null) return 'unlimited';
  return rate.burst === undefined ? formatRate(rate) : `${formatRate(rate)}, burst ${rate.burst}`;
}

const byName = (rates: object): string =>
  Object.entries(rates)
    .map(([name, rate]) => `${name}: ${rateText(rate)}`)
    .join(', ');

const keyText = (key: KeyRule<RateLimitContext>): string =>
  typeof key === 'string' ? key : nameOfFunction(key);

const blockText = (blocks: readonly number[]): string | null =>
  blocks.length === 0 ? null : blocks.map((ms) => formatDuration(ms / 1_000) || `${ms} ms`).join(', then ');

const SOURCES = { global: 'module', scope: 'scope', class: 'class', route: 'method' } as const;

function rateOf({ options: { rate, burst } }: RouteLimit): string {
  return burst === undefined ? rateText(rate) : `${rateText(rate)}, burst ${burst}`;
}

const limitResponse = (limit: RouteLimit) => ({
  name: limit.name,
  scope: limit.scope,
  rate: rateOf(limit),
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

const listOf = <T>(given: T | readonly T[] | undefined): readonly T[] =>
  given === undefined ? [] : Array.isArray(given) ? given : [given as T];

const metadataOf = <T>(key: string, target: object): T | undefined =>
  Reflect.getMetadata(key, target) as T | undefined;

/** One path of segments, each with or without slashes around it. */
const joined = (...segments: readonly string[]): string =>
  `/${segments
    .map((segment) => segment.replace(/^\/+|\/+$/g, ''))
    .filter((segment) => segment !== '')
    .join('/')}`;

/** What an application has set for all of its paths. */
interface PathRules {
  readonly config: ApplicationConfig;
  /** The path that `RouterModule` gives to the module of a controller. */
  readonly modulePathOf: (type: Type) => string;
}

/** The versions of a handler as they stand in its path; the empty one for none. By header they are not in it. */
function versionsOf({ type, method }: Handler, config: ApplicationConfig): readonly string[] {
  const versioning = config.getVersioning();
  if (versioning?.type !== VersioningType.URI) return [''];
  const versions = listOf(
    metadataOf<Version | readonly Version[]>(VERSION, method) ??
      metadataOf<Version | readonly Version[]>(VERSION, type) ??
      (versioning.defaultVersion as Version | readonly Version[] | undefined) ??
      VERSION_NEUTRAL,
  );
  const before = versioning.prefix === false ? '' : (versioning.prefix ?? 'v');
  return versions.map((version) => (typeof version === 'string' ? `${before}${version}` : ''));
}

/** Whether a path stands outside the global prefix. */
function isExcluded(path: string, method: number | undefined, config: ApplicationConfig): boolean {
  const exclude = config.getGlobalPrefixOptions().exclude ?? [];
  return exclude.some(
    ({ pathRegex, requestMethod }) =>
      (requestMethod === RequestMethod.ALL || requestMethod === method) && pathRegex.test(path),
  );
}

/** The paths at which Nest serves a handler of HTTP. */
function pathsOf(handler: Handler, { config, modulePathOf }: PathRules): readonly string[] {
  const method = metadataOf<number>(METHOD, handler.method);
  const paths: string[] = [];
  for (const version of versionsOf(handler, config)) {
    for (const outer of listOf(metadataOf<string | readonly string[]>(PATH, handler.type))) {
      for (const inner of listOf(metadataOf<string | readonly string[]>(PATH, handler.method))) {
        const path = joined(modulePathOf(handler.type), outer, inner);
        const prefix = isExcluded(path, method, config) ? '' : config.getGlobalPrefix();
        paths.push(joined(prefix, version, path));
      }
    }
  }
  return paths;
}

/** Every route with its limits, as they are enforced, and what it is called from outside. */
export class Routes {
  /** Null for a name that several classes have. */
  readonly #endpoints = new Map<string, string | null>();
  readonly list;

  constructor(routes: readonly CompiledRoute[], rules: PathRules) {
    this.list = routes.map(({ handler, limits }) => {
      const isHttp = handler.transport === 'http';
      const path = isHttp ? pathsOf(handler, rules).join(', ') : '';
      const method = isHttp
        ? (RequestMethod[metadataOf<number>(METHOD, handler.method) ?? -1] ?? null)
        : null;
      const isKnown = this.#endpoints.has(handler.name);
      this.#endpoints.set(handler.name, path === '' || isKnown ? null : `${method} ${path}`);
      const { name: route, transport } = handler;
      return { route, transport, method, path: path || null, limits: limits.map(limitResponse) };
    });
  }

  /** `POST /auth/login` of `AuthController.login`; the route itself where it has no path, or is not alone of its name. */
  readonly endpointOf = (route: string): string => this.#endpoints.get(route) ?? route;
}
