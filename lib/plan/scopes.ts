import { assertConfig, configError, describeValue, type ErrorCollector } from '../core/errors.js';
import type { Caller } from '../identity/caller.js';
import { compileLimit, type Limit, validateOverrides } from './limit.js';
import type { LimitDefaults } from './limit-functions.js';
import {
  type AnyLimitOptions,
  type ScopeLimit,
  type ScopeOverrides,
  type ScopeRule,
  toLimitOptions,
} from './options.js';

// Words as people name things. A route's own scope never looks like this.
const SCOPE_NAME = /^[A-Za-z0-9_-]+(?:[:/][A-Za-z0-9_-]+)*$/;

/** A set of scopes and the place of its declaration. */
export interface ScopeDeclarations<Context> {
  readonly scopes: Readonly<Record<string, ScopeRule<Context>>>;
  /** Such as `scopes` for those of the module, or `ShopModule.scopes`. */
  readonly source: string;
}

interface CompiledScope<Context> {
  readonly source: string;
  readonly rule: ScopeRule<Context>;
  /** The options of its limits, named. */
  readonly options: readonly AnyLimitOptions<Context>[];
  readonly limits: readonly Limit<Context>[];
}

/** Returns the limits of a scope as options with names: the first has the scope's name, the others their own or a number. */
function namedLimits<Context>(rule: ScopeRule<Context>, scope: string): readonly AnyLimitOptions<Context>[] {
  const rules = (Array.isArray(rule) ? rule : [rule]) as readonly ScopeLimit<Context>[];
  return rules.map((limit, at) => {
    const options = toLimitOptions<Context>(limit);
    return { ...options, name: options.name ?? (at === 0 ? scope : `${scope}-${at}`) };
  });
}

/** Returns true if two modules declare the same scope: with equal values, and the very same functions. */
function isAlike(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const [ofA, ofB] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => isAlike(ofA[name], ofB[name]));
}

/** The named scopes of an application. */
export class Scopes<Context extends Caller> {
  readonly #entries = new Map<string, CompiledScope<Context>>();
  /** Names whose declaration is invalid: that is one error, not one for each use. */
  readonly #invalid = new Set<string>();

  constructor(readonly defaults: LimitDefaults<Context>) {}

  /** Compiles the scopes of one source; their errors go to `errors`. */
  add({ scopes, source }: ScopeDeclarations<Context>, errors: ErrorCollector): void {
    for (const [name, rule] of Object.entries(scopes)) {
      const here = `${source}.${name}`;
      const declared = this.#entries.get(name);
      if (declared !== undefined) {
        if (isAlike(declared.rule, rule)) continue;
        errors.add(
          'duplicate-name',
          here,
          `The scope ${describeValue(name)} is already declared with other options at ${declared.source}.`,
          'Declare it once, or give the two scopes different names.',
        );
        continue;
      }
      const entry = errors.try(here, () => this.#compile(rule, name, here));
      if (entry !== undefined) this.#entries.set(name, entry);
      else this.#invalid.add(name);
    }
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Returns the limits of a named scope.
   *
   * @throws RateLimitConfigError `unknown-scope`, with the names of all scopes.
   */
  get(name: string): readonly Limit<Context>[] {
    return this.#entry(name).limits;
  }

  /** Returns the limits of a named scope with the overrides of one use; none if the scope itself is invalid. */
  resolve(name: string, overrides: ScopeOverrides<Context>, source: string): readonly Limit<Context>[] {
    validateOverrides(overrides);
    if (this.#invalid.has(name)) return [];
    const { options, limits } = this.#entry(name);
    if (Object.keys(overrides).length === 0) return limits;
    assertConfig(
      overrides.key === undefined || options.length === 1,
      'bad-option',
      `The scope ${describeValue(name)} has several limits, and one key cannot replace the keys of all.`,
      'Leave the key out, or declare another scope.',
    );
    return options.map((own) => this.#limit({ ...own, ...overrides }, name, source));
  }

  #entry(name: string): CompiledScope<Context> {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    const names = this.names.join(', ');
    throw configError(
      'unknown-scope',
      `There is no scope ${describeValue(name)}.`,
      `Declare it under scopes of RateLimitModule${names === '' ? '' : `, or use one of: ${names}`}.`,
    );
  }

  #compile(rule: ScopeRule<Context>, name: string, source: string): CompiledScope<Context> {
    assertConfig(
      SCOPE_NAME.test(name),
      'bad-scope-name',
      `${describeValue(name)} cannot name a scope.`,
      `Use letters, digits, '-' and '_', with ':' or '/' between words.`,
    );
    const options = namedLimits(rule, name);
    assertConfig(
      options.length > 0,
      'bad-rate',
      'The scope has no limit.',
      `Give it a rate, or 'unlimited'.`,
    );
    const names = options.map((limit) => limit.name);
    const twice = names.find((own, at) => names.indexOf(own) < at);
    assertConfig(
      twice === undefined,
      'duplicate-name',
      `Two of its limits are called ${describeValue(twice)}.`,
      'Name them apart.',
    );
    return { source, rule, options, limits: options.map((own) => this.#limit(own, name, source)) };
  }

  #limit(options: AnyLimitOptions<Context>, scope: string, source: string): Limit<Context> {
    const name = options.name as string;
    const origin = { name, scope, reach: 'scope', source, isModuleLimit: false } as const;
    return compileLimit(options, origin, this.defaults);
  }
}
