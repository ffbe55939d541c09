import { mistake, type Problems } from '../core/errors.js';
import { shown } from '../core/shown.js';
import type { Caller } from '../key/caller.js';
import { compileLimit, type Limit, type LimitDefaults } from './limit.js';
import {
  asLimit,
  checkOverrides,
  type LimitOptions,
  type ScopeOverrides,
  type ScopeRule,
} from './options.js';

// Segments of what people call things; nothing that a route's own scope could look like.
const SCOPE_NAME = /^[A-Za-z0-9_-]+(?:[:/][A-Za-z0-9_-]+)*$/;

/** A set of scopes and where it was declared. */
export interface ScopeSource<Context> {
  readonly scopes: Readonly<Record<string, ScopeRule<Context>>>;
  /** Such as `scopes` for those of the module, or `ShopModule.scopes`. */
  readonly place: string;
}

interface Entry<Context> {
  readonly options: LimitOptions<Context>;
  readonly limit: Limit<Context>;
}

/** Whether two modules declare a scope alike: with the same values, and the very same functions. */
function isAlike(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const [ofA, ofB] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => isAlike(ofA[name], ofB[name]));
}

/** The named scopes of an application. */
export class Scopes<Context extends Caller> {
  readonly #entries = new Map<string, Entry<Context>>();
  /** Names whose declaration is a mistake, which is said once and not of each use. */
  readonly #broken = new Set<string>();

  constructor(readonly defaults: LimitDefaults<Context>) {}

  /** Compiles the scopes of one source; what is wrong with them goes to `problems`. */
  add({ scopes, place }: ScopeSource<Context>, problems: Problems): void {
    for (const [name, rule] of Object.entries(scopes)) {
      const here = `${place}.${name}`;
      const options = { ...asLimit<Context>(rule), name };
      const known = this.#entries.get(name);
      if (known !== undefined) {
        if (isAlike(known.options, options)) continue;
        problems.add(
          'duplicate-name',
          here,
          `The scope ${shown(name)} is already declared with other options at ${known.limit.place}.`,
          'Declare it once, or give the two scopes different names.',
        );
        continue;
      }
      const limit = problems.try(here, () => this.#compile(options, name, here));
      if (limit !== undefined) this.#entries.set(name, { options, limit });
      else this.#broken.add(name);
    }
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /**
   * The limit of a named scope.
   *
   * @throws RateLimitConfigError `unknown-scope`, naming those there are.
   */
  get(name: string): Limit<Context> {
    return this.#entry(name).limit;
  }

  /** The limit of a named scope as one place uses it, undefined where the scope itself is a mistake. */
  use(name: string, overrides: ScopeOverrides<Context>, place: string): Limit<Context> | undefined {
    checkOverrides(overrides);
    if (this.#broken.has(name)) return undefined;
    const { options, limit } = this.#entry(name);
    if (Object.keys(overrides).length === 0) return limit;
    return this.#compile({ ...options, ...overrides }, name, place);
  }

  #entry(name: string): Entry<Context> {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    const known = this.names.join(', ');
    throw mistake(
      'unknown-scope',
      `There is no scope ${shown(name)}.`,
      `Declare it under scopes of RateLimitModule${known === '' ? '' : `, or use one of: ${known}`}.`,
    );
  }

  #compile(options: LimitOptions<Context>, name: string, place: string): Limit<Context> {
    if (!SCOPE_NAME.test(name)) {
      throw mistake(
        'bad-scope-name',
        `${shown(name)} cannot name a scope.`,
        `Use letters, digits, '-' and '_', with ':' or '/' between words.`,
      );
    }
    return compileLimit(
      options,
      { name, scope: name, reach: 'scope', place, isOfModule: false },
      this.defaults,
    );
  }
}
