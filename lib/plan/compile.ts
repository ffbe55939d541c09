import { describeValue, type ErrorCollector } from '../core/errors.js';
import type { Caller } from '../identity/caller.js';
import { type BucketScope, compileLimit, type Limit } from './limit.js';
import type { DeclaredLimit, ModuleLimitOptions, SkipDeclaration } from './options.js';
import type { Scopes } from './scopes.js';
import { validateModuleLimit } from './validate-limit.js';

/** The declarations of one class or one method, as decorators have recorded them. */
export interface Declarations<Context> {
  /** In the order they are written, the topmost first. */
  readonly limits: readonly DeclaredLimit<Context>[];
  readonly skip: SkipDeclaration | undefined;
}

/** A handler, as far as its limits are concerned. */
export interface RouteDeclaration<Context> {
  /** The class itself, to tell it from another one of the same name. */
  readonly classRef: object;
  readonly module: string;
  readonly class: string;
  readonly method: string;
  /** The declarations of the class and its ancestors, the furthest ancestor first. */
  readonly classes: readonly Declarations<Context>[];
  readonly handler: Declarations<Context>;
  /** False for a nested GraphQL field, to which limits of the module and the class do not apply. */
  readonly inherits: boolean;
}

/** The bucket scope of a module limit: every route. */
const GLOBAL_SCOPE = '*';

/** Returns a method's name without characters that a header cannot carry. */
const printable = (method: string): string => method.replace(/[^\u0021-\u007e]/g, '_').slice(0, 100);

/** A level of declarations: where its limits are declared, and the names of those without one. */
interface Level {
  readonly source: string;
  readonly scope: string;
  readonly reach: BucketScope;
  readonly prefix: string;
  /** The number of decorators of this level before these. */
  readonly offset: number;
}

interface Entry<Context> {
  readonly limit: Limit<Context>;
  /** True if it has a name of its own, so that it overrides an outer limit of that name. */
  readonly isNamed: boolean;
}

/** Composes the limits of routes, from outer to inner; their errors go to `errors`. */
export class RouteCompiler<Context extends Caller> {
  /** The class that a name stands for in bucket keys. */
  readonly #owners = new Map<string, object>();

  constructor(
    readonly moduleLimits: readonly ModuleLimitOptions<Context>[],
    readonly scopes: Scopes<Context>,
  ) {}

  /** Finds the errors in the limits of the module, even if no route is known yet. */
  validateModuleLimits(errors: ErrorCollector): void {
    this.#moduleEntries('', errors);
  }

  /** Returns the limits of one route. */
  compile(route: RouteDeclaration<Context>, errors: ErrorCollector): readonly Limit<Context>[] {
    const { classes, handler, inherits } = route;
    const className = `${route.module}.${route.class}`;
    const scope = `${className}.${route.method}`;
    const source = `${route.class}.${route.method}`;

    const outerNames = new Set<string>();
    let limits: readonly Entry<Context>[] = [];
    const compose = (declared: Declarations<Context>, own: readonly Entry<Context>[], here: string): void => {
      for (const { limit } of limits) outerNames.add(limit.name);
      limits = overrideByName(this.#applySkip(limits, declared.skip, outerNames, here, errors), own);
    };

    if (inherits) {
      limits = this.#moduleEntries(scope, errors);
      let offset = 0;
      for (const declared of classes) {
        const level: Level = {
          source: route.class,
          scope: className,
          reach: 'class',
          prefix: 'class',
          offset,
        };
        compose(declared, this.#levelEntries(declared, level, errors), route.class);
        offset += declared.limits.length;
      }
    }
    const level: Level = { source, scope, reach: 'route', prefix: printable(route.method), offset: 0 };
    compose(handler, this.#levelEntries(handler, level, errors), source);

    this.#checkOwner(route, className, limits, errors);
    return rejectDuplicateNames(limits, source, errors).map(({ limit }) => limit);
  }

  /** Returns the module's limits as a route has them. */
  #moduleEntries(routeScope: string, errors: ErrorCollector): readonly Entry<Context>[] {
    const entries: Entry<Context>[] = [];
    this.moduleLimits.forEach((moduleLimit, index) => {
      const source = `limits[${index}]`;
      const limit = errors.try(source, () => {
        validateModuleLimit(moduleLimit);
        const { per, ...options } = moduleLimit;
        const { name = `limit-${index}` } = options;
        const where =
          per === 'route'
            ? ({ scope: routeScope, reach: 'route' } as const)
            : ({ scope: GLOBAL_SCOPE, reach: 'global' } as const);
        return compileLimit(options, { name, source, isModuleLimit: true, ...where }, this.scopes.defaults);
      });
      if (limit !== undefined) entries.push({ limit, isNamed: true });
    });
    return rejectDuplicateNames(entries, 'limits', errors);
  }

  #levelEntries(
    { limits }: Declarations<Context>,
    { source, scope, reach, prefix, offset }: Level,
    errors: ErrorCollector,
  ): readonly Entry<Context>[] {
    const entries: Entry<Context>[] = [];
    limits.forEach((declaration, index) => {
      if (declaration.kind === 'scope') {
        const { scope: name, overrides } = declaration;
        const used = errors.try(source, () => this.scopes.resolve(name, overrides, source)) ?? [];
        entries.push(...used.map((limit) => ({ limit, isNamed: true })));
        return;
      }
      const { options } = declaration;
      const number = offset + index;
      const limit = errors.try(source, () => {
        const where =
          options.name === undefined
            ? { name: `${prefix}-${number}`, scope: `${scope}#${number}` }
            : { name: options.name, scope };
        return compileLimit(options, { reach, source, isModuleLimit: false, ...where }, this.scopes.defaults);
      });
      if (limit !== undefined) entries.push({ limit, isNamed: options.name !== undefined });
    });
    return rejectDuplicateNames(entries, source, errors);
  }

  #applySkip(
    outer: readonly Entry<Context>[],
    skip: SkipDeclaration | undefined,
    outerNames: ReadonlySet<string>,
    source: string,
    errors: ErrorCollector,
  ): readonly Entry<Context>[] {
    if (skip === undefined) return outer;
    if (skip === 'all') return [];
    for (const name of skip) {
      if (outerNames.has(name)) continue;
      errors.add(
        'unknown-skip',
        source,
        `@SkipRateLimit(${describeValue(name)}) skips nothing: neither the module nor the class has a limit of that name.`,
        outerNames.size === 0
          ? 'Remove it: they have no limits.'
          : `These do: ${[...outerNames].join(', ')}. To skip a limit of the method itself, remove its decorator.`,
      );
    }
    return outer.filter(({ limit }) => !skip.includes(limit.name));
  }

  /** Rejects two classes of the same name in modules of the same name: their routes would share buckets. */
  #checkOwner(
    route: RouteDeclaration<Context>,
    className: string,
    limits: readonly Entry<Context>[],
    errors: ErrorCollector,
  ): void {
    if (!limits.some(({ limit }) => limit.reach === 'class' || limit.reach === 'route')) return;
    const owner = this.#owners.get(className);
    if (owner === undefined) this.#owners.set(className, route.classRef);
    else if (owner !== route.classRef) {
      errors.add(
        'ambiguous-bucket',
        `${route.class}.${route.method}`,
        `Another class is called ${className} too, and their routes would share buckets.`,
        'Rename one of the classes or modules, or use a named scope: @ThrottleScope.',
      );
    }
  }
}

/** Returns outer and inner limits, without the outer ones that an inner limit of the same name overrides. */
function overrideByName<Context>(
  outer: readonly Entry<Context>[],
  inner: readonly Entry<Context>[],
): readonly Entry<Context>[] {
  const names = new Set(inner.filter(({ isNamed }) => isNamed).map(({ limit }) => limit.name));
  return [...outer.filter(({ limit }) => !names.has(limit.name)), ...inner];
}

/** Returns the limits without those whose name another one has, which is an error. */
function rejectDuplicateNames<Context>(
  limits: readonly Entry<Context>[],
  source: string,
  errors: ErrorCollector,
): readonly Entry<Context>[] {
  const names = new Set<string>();
  return limits.filter(({ limit: { name } }) => {
    const first = !names.has(name);
    names.add(name);
    if (first) return true;
    errors.add(
      'duplicate-name',
      source,
      `Two limits are called ${describeValue(name)} here.`,
      'Give each a name of its own: clients tell limits apart by it.',
    );
    return false;
  });
}
