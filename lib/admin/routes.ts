import { RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { DEFAULT_ALGORITHM, DEFAULT_FAIL_MODE } from '../core/policy.js';
import { parseRate } from '../core/rate.js';
import { inWords, rateInWords } from '../http/seconds.js';
import type { RateLimitContext } from '../nest/context.js';
import type { Handler } from '../nest/handlers.js';
import type { CompiledRoute } from '../nest/warnings.js';
import { RateByLoad } from '../plan/by-load.js';
import type { Limit } from '../plan/limit.js';
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
  return rate.burst === undefined ? rateInWords(rate) : `${rateInWords(rate)}, burst ${rate.burst}`;
}

const byName = (rates: object): string =>
  Object.entries(rates)
    .map(([name, rate]) => `${name}: ${rateText(rate)}`)
    .join(', ');

const keyText = (key: KeyRule<RateLimitContext>): string =>
  typeof key === 'string' ? key : nameOfFunction(key);

const blockText = (blocks: readonly number[]): string | null =>
  blocks.length === 0 ? null : blocks.map((ms) => inWords(ms / 1_000) || `${ms} ms`).join(', then ');

const SOURCES = { everywhere: 'module', scope: 'scope', class: 'class', route: 'method' } as const;

const limitAnswer = (limit: RouteLimit) => ({
  name: limit.name,
  scope: limit.scope,
  rate: rateText(limit.rule),
  key: keyText(limit.key),
  algorithm: limit.frame.algorithm ?? DEFAULT_ALGORITHM,
  cost: typeof limit.cost === 'number' ? limit.cost : 'function',
  shadow: limit.shadow,
  block: blockText(limit.blocks),
  fail_mode: limit.frame.failMode ?? DEFAULT_FAIL_MODE,
  source: limit.isOfModule ? 'module' : SOURCES[limit.reach],
});

const listOf = <T>(given: T | readonly T[] | undefined): readonly T[] =>
  given === undefined ? [] : Array.isArray(given) ? given : [given as T];

const noted = <T>(key: string, target: object): T | undefined =>
  Reflect.getMetadata(key, target) as T | undefined;

/** One path of segments, each with or without slashes around it. */
const joined = (...segments: readonly string[]): string =>
  `/${segments
    .map((segment) => segment.replace(/^\/+|\/+$/g, ''))
    .filter((segment) => segment !== '')
    .join('/')}`;

/** The paths at which Nest serves a handler of HTTP; by header and media type, versions share a path. */
function pathsOf({ type, method }: Handler, config: ApplicationConfig): readonly string[] {
  const versioning = config.getVersioning();
  const prefixes = [''];
  if (versioning?.type === VersioningType.URI) {
    const versions = listOf(
      noted<Version | readonly Version[]>(VERSION, method) ??
        noted<Version | readonly Version[]>(VERSION, type) ??
        (versioning.defaultVersion as Version | readonly Version[] | undefined),
    );
    const named = versions.filter((version): version is string => version !== VERSION_NEUTRAL);
    const before = versioning.prefix === false ? '' : (versioning.prefix ?? 'v');
    if (named.length > 0) prefixes.splice(0, 1, ...named.map((version) => `${before}${version}`));
  }
  const paths: string[] = [];
  for (const prefix of prefixes) {
    for (const outer of listOf(noted<string | readonly string[]>(PATH, type))) {
      for (const inner of listOf(noted<string | readonly string[]>(PATH, method)))
        paths.push(joined(config.getGlobalPrefix(), prefix, outer, inner));
    }
  }
  return paths;
}

/** Every route with its limits, as they are enforced, and what it is called from outside. */
export class Routes {
  readonly #endpoints = new Map<string, string>();
  readonly list;

  constructor(routes: readonly CompiledRoute[], config: ApplicationConfig) {
    this.list = routes.map(({ handler, limits }) => {
      const isHttp = handler.transport === 'http';
      const paths = isHttp ? pathsOf(handler, config) : [];
      const method = isHttp ? (RequestMethod[noted<number>(METHOD, handler.method) ?? -1] ?? null) : null;
      if (paths.length > 0) this.#endpoints.set(handler.name, `${method} ${paths.join(', ')}`);
      return {
        route: handler.name,
        transport: handler.transport,
        method,
        path: paths.join(', ') || null,
        limits: limits.map(limitAnswer),
      };
    });
  }

  /** `POST /auth/login` of `AuthController.login`; the route itself where it has no path. */
  readonly endpointOf = (route: string): string => this.#endpoints.get(route) ?? route;
}
