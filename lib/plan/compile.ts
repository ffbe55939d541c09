import { describeValue, type ErrorCollector } from '../core/errors.js';
import type { Caller } from '../identity/caller.js';
import { type BucketScope, compileLimit, type Limit, validateModuleLimit } from './limit.js';
import type { DeclaredLimit, ModuleLimitOptions, SkipDeclaration } from './options.js';
import type { Scopes } from './scopes.js';

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

/** A class or a method with declarations: where its limits are, and the names of those without one. */
interface Level {
  readonly source: string;
  readonly scope: string;
  readonly reach: BucketScope;
  readonly prefix: string;
  /** The number of decorators of this level before these. */
  readonly offset: number;
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
    this.#compileModuleLimits('', errors);
  }

  /** Returns the limits of one route. */
  compile(route: RouteDeclaration<Context>, errors: ErrorCollector): readonly Limit<Context>[] {
    const className = `${route.module}.${route.class}`;
    const scope = `${className}.${route.method}`;
    const source = `${route.class}.${route.method}`;

    const outerNames = new Set<string>();
    let limits: readonly Limit<Context>[] = [];
    const compose = (declared: Declarations<Context>, level: Level): void => {
      const own = this.#compileLevel(declared, level, errors);
      for (const { name } of limits) outerNames.add(name);
      limits = overrideByName(this.#applySkip(limits, declared.skip, outerNames, level.source, errors), own);
    };

    if (route.inherits) {
      limits = this.#compileModuleLimits(scope, errors);
      let offset = 0;
      for (const declared of route.classes) {
        compose(declared, { source: route.class, scope: className, reach: 'class', prefix: 'class', offset });
        offset += declared.limits.length;
      }
    }
    compose(route.handler, { source, scope, reach: 'route', prefix: printable(route.method), offset: 0 });

    this.#checkOwner(route, className, limits, errors);
    return rejectDuplicateNames(limits, source, errors);
  }

  /** Returns the module's limits as a route has them. */
  #compileModuleLimits(routeScope: string, errors: ErrorCollector): readonly Limit<Context>[] {
    const limits = this.moduleLimits.map((moduleLimit, index) => {
      const source = `limits[${index}]`;
      return errors.try(source, () => {
        validateModuleLimit(moduleLimit);
        const { per, ...options } = moduleLimit;
        const { name = `limit-${index}` } = options;
        const [scope, reach] = per === 'route' ? [routeScope, per] : [GLOBAL_SCOPE, 'global' as const];
        const origin = { name, scope, reach, source, isModuleLimit: true };
        return compileLimit(options, origin, this.scopes.defaults);
      });
    });
    return rejectDuplicateNames(limits, 'limits', errors);
  }

  #compileLevel(
    { limits }: Declarations<Context>,
    { source, scope, reach, prefix, offset }: Level,
    errors: ErrorCollector,
  ): readonly Limit<Context>[] {
    const compiled = limits.flatMap((declaration, index) => {
      if (declaration.kind === 'scope')
        return errors.try(source, () =>
          this.scopes.resolve(declaration.scope, declaration.overrides, source),
        );
      const { options } = declaration;
      const number = offset + index;
      const where =
        options.name === undefined
          ? { name: `${prefix}-${number}`, scope: `${scope}#${number}` }
          : { name: options.name, scope };
      const origin = { reach, source, isModuleLimit: false, ...where };
      return errors.try(source, () => compileLimit(options, origin, this.scopes.defaults));
    });
    return rejectDuplicateNames(compiled, source, errors);
  }

  #applySkip(
    outer: readonly Limit<Context>[],
    skip: SkipDeclaration | undefined,
    outerNames: ReadonlySet<string>,
    source: string,
    errors: ErrorCollector,
  ): readonly Limit<Context>[] {
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
    return outer.filter(({ name }) => !skip.includes(name));
  }

  /** Rejects two classes of the same name in modules of the same name: their routes would share buckets. */
  #checkOwner(
    route: RouteDeclaration<Context>,
    className: string,
    limits: readonly Limit<Context>[],
    errors: ErrorCollector,
  ): void {
    if (!limits.some(({ reach }) => reach === 'class' || reach === 'route')) return;
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

/**
 * Returns outer and inner limits, without the outer ones that an inner limit of the same name overrides. A
 * limit without a name of its own overrides none.
 */
function overrideByName<Context>(
  outer: readonly Limit<Context>[],
  inner: readonly Limit<Context>[],
): readonly Limit<Context>[] {
  const names = new Set(inner.map(({ options }) => options.name));
  return [...outer.filter(({ name }) => !names.has(name)), ...inner];
}

/** Returns the limits that were compiled, without those whose name another one has, which is an error. */
function rejectDuplicateNames<Context>(
  limits: readonly (Limit<Context> | undefined)[],
  source: string,
  errors: ErrorCollector,
): readonly Limit<Context>[] {
  const byName = new Map<string, Limit<Context>>();
  for (const limit of limits) {
    if (limit === undefined) continue;
    const { name } = limit;
    if (!byName.has(name)) byName.set(name, limit);
    else
      errors.add(
        'duplicate-name',
        source,
        `Two limits are called ${describeValue(name)} here.`,
        'Give each a name of its own: clients tell limits apart by it.',
      );
  }
  return [...byName.values()];
}
