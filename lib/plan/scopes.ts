import { mistake, type Problems } from '../core/errors.js';
import { shown } from '../core/shown.js';
import type { Caller } from '../key/caller.js';
import { checkOverrides } from './check-limit.js';
import { compileLimit, type Limit, type LimitDefaults } from './limit.js';
import {
  asLimit,
  type LimitOptions,
  type ScopeLimit,
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
  readonly place: string;
  readonly rule: ScopeRule<Context>;
  /** The options of its limits, named. */
  readonly options: readonly LimitOptions<Context>[];
  readonly limits: readonly Limit<Context>[];
}

/** The limits of a scope as options with names: the first has the scope's, the others their own or one after it. */
function namedLimits<Context>(rule: ScopeRule<Context>, scope: string): readonly LimitOptions<Context>[] {
  const rules = (Array.isArray(rule) ? rule : [rule]) as readonly ScopeLimit<Context>[];
  return rules.map((limit, at) => {
    const options = asLimit<Context>(limit);
    return { ...options, name: options.name ?? (at === 0 ? scope : `${scope}-${at}`) };
  });
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
      const known = this.#entries.get(name);
      if (known !== undefined) {
        if (isAlike(known.rule, rule)) continue;
        problems.add(
          'duplicate-name',
          here,
          `The scope ${shown(name)} is already declared with other options at ${known.place}.`,
          'Declare it once, or give the two scopes different names.',
        );
        continue;
      }
      const entry = problems.try(here, () => this.#compile(rule, name, here));
      if (entry !== undefined) this.#entries.set(name, entry);
      else this.#broken.add(name);
    }
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /**
   * The limits of a named scope.
   *
   * @throws RateLimitConfigError `unknown-scope`, naming those there are.
   */
  get(name: string): readonly Limit<Context>[] {
    return this.#entry(name).limits;
  }

  /** The limits of a named scope as one place uses it; none where the scope itself is a mistake. */
  use(name: string, overrides: ScopeOverrides<Context>, place: string): readonly Limit<Context>[] {
    checkOverrides(overrides);
    if (this.#broken.has(name)) return [];
    const { options, limits } = this.#entry(name);
    if (Object.keys(overrides).length === 0) return limits;
    if (overrides.key !== undefined && options.length > 1) {
      throw mistake(
        'bad-option',
        `The scope ${shown(name)} carries several limits, and one key cannot stand for those of all.`,
        'Leave the key out, or declare another scope.',
      );
    }
    return options.map((own) => this.#limit({ ...own, ...overrides }, name, place));
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

  #compile(rule: ScopeRule<Context>, name: string, place: string): Entry<Context> {
    if (!SCOPE_NAME.test(name)) {
      throw mistake(
        'bad-scope-name',
        `${shown(name)} cannot name a scope.`,
        `Use letters, digits, '-' and '_', with ':' or '/' between words.`,
      );
    }
    if (Array.isArray(rule) && rule.length === 0) {
      throw mistake('bad-rate', 'The scope has no limit.', `Give it a rate, or 'unlimited'.`);
    }
    const options = namedLimits(rule, name);
    const names = options.map((limit) => limit.name);
    const twice = names.find((own, at) => names.indexOf(own) < at);
    if (twice !== undefined) {
      throw mistake('duplicate-name', `Two of its limits are called ${shown(twice)}.`, 'Name them apart.');
    }
    return { place, rule, options, limits: options.map((own) => this.#limit(own, name, place)) };
  }

  #limit(options: LimitOptions<Context>, scope: string, place: string): Limit<Context> {
    const name = options.name as string;
    return compileLimit(options, { name, scope, reach: 'scope', place, isOfModule: false }, this.defaults);
  }
}
