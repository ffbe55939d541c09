import type { Problems } from '../core/errors.js';
import { shown } from '../core/shown.js';
import type { Caller } from '../key/caller.js';
import { checkModuleLimit } from './check-limit.js';
import { compileLimit, type Limit, type Reach } from './limit.js';
import type { Declaration, ModuleLimitOptions, Skip } from './options.js';
import type { Scopes } from './scopes.js';

/** What decorators have noted of one class, or of one method. */
export interface Declared<Context> {
  /** In the order they are written, the topmost first. */
  readonly limits: readonly Declaration<Context>[];
  readonly skip: Skip | undefined;
}

/** A handler as far as its limits go. */
export interface RouteDeclaration<Context> {
  /** What the class is, to tell it from another one of the same name. */
  readonly classRef: object;
  readonly module: string;
  readonly class: string;
  readonly method: string;
  /** What the class and those it inherits from declare, the furthest first. */
  readonly classes: readonly Declared<Context>[];
  readonly handler: Declared<Context>;
  /** Whether limits from further out than the method apply: not to a nested GraphQL field. */
  readonly inherits: boolean;
}

/** The bucket scope of a module limit: every route. */
const EVERYWHERE = '*';

/** A method's name as far as a header can carry it. */
const printable = (method: string): string => method.replace(/[^\u0021-\u007e]/g, '_').slice(0, 100);

/** Where the limits of one level stand and what they are called when they have no name. */
interface Level {
  readonly place: string;
  readonly scope: string;
  readonly reach: Reach;
  readonly word: string;
  /** How many decorators of this level came before. */
  readonly offset: number;
}

interface Placed<Context> {
  readonly limit: Limit<Context>;
  /** Whether its name was given, so that it takes the place of a limit of that name further out. */
  readonly named: boolean;
}

/** Composes the limits of routes, from outer to inner; what is wrong with them goes to `problems`. */
export class RouteCompiler<Context extends Caller> {
  /** Which class its name stands for in the keys of buckets. */
  readonly #owners = new Map<string, object>();

  constructor(
    readonly moduleLimits: readonly ModuleLimitOptions<Context>[],
    readonly scopes: Scopes<Context>,
  ) {}

  /** Finds what is wrong with the limits of the module, also where no route is known yet. */
  checkModuleLimits(problems: Problems): void {
    this.#ofModule('', problems);
  }

  /** The limits of one route. */
  compile(route: RouteDeclaration<Context>, problems: Problems): readonly Limit<Context>[] {
    const { classes, handler, inherits } = route;
    const className = `${route.module}.${route.class}`;
    const scope = `${className}.${route.method}`;
    const place = `${route.class}.${route.method}`;

    const seen = new Set<string>();
    let limits: readonly Placed<Context>[] = [];
    const compose = (declared: Declared<Context>, own: readonly Placed<Context>[], here: string): void => {
      for (const { limit } of limits) seen.add(limit.name);
      limits = replaced(this.#skipped(limits, declared.skip, seen, here, problems), own);
    };

    if (inherits) {
      limits = this.#ofModule(scope, problems);
      let offset = 0;
      for (const declared of classes) {
        const level: Level = { place: route.class, scope: className, reach: 'class', word: 'class', offset };
        compose(declared, this.#own(declared, level, problems), route.class);
        offset += declared.limits.length;
      }
    }
    const level: Level = { place, scope, reach: 'route', word: printable(route.method), offset: 0 };
    compose(handler, this.#own(handler, level, problems), place);

    this.#checkOwner(route, className, limits, problems);
    return distinct(limits, place, problems).map(({ limit }) => limit);
  }

  /** The module's limits as a route has them. */
  #ofModule(routeScope: string, problems: Problems): readonly Placed<Context>[] {
    const placed: Placed<Context>[] = [];
    this.moduleLimits.forEach((moduleLimit, index) => {
      const place = `limits[${index}]`;
      const limit = problems.try(place, () => {
        checkModuleLimit(moduleLimit);
        const { per, ...options } = moduleLimit;
        const { name = `limit-${index}` } = options;
        const where =
          per === 'route'
            ? ({ scope: routeScope, reach: 'route' } as const)
            : ({ scope: EVERYWHERE, reach: 'everywhere' } as const);
        return compileLimit(options, { name, place, isOfModule: true, ...where }, this.scopes.defaults);
      });
      if (limit !== undefined) placed.push({ limit, named: true });
    });
    return distinct(placed, 'limits', problems);
  }

  #own(
    { limits }: Declared<Context>,
    { place, scope, reach, word, offset }: Level,
    problems: Problems,
  ): readonly Placed<Context>[] {
    const own: Placed<Context>[] = [];
    limits.forEach((declaration, index) => {
      if (declaration.kind === 'scope') {
        const { scope: name, overrides } = declaration;
        const used = problems.try(place, () => this.scopes.use(name, overrides, place)) ?? [];
        own.push(...used.map((limit) => ({ limit, named: true })));
        return;
      }
      const { options } = declaration;
      const number = offset + index;
      const limit = problems.try(place, () => {
        const where =
          options.name === undefined
            ? { name: `${word}-${number}`, scope: `${scope}#${number}` }
            : { name: options.name, scope };
        return compileLimit(options, { reach, place, isOfModule: false, ...where }, this.scopes.defaults);
      });
      if (limit !== undefined) own.push({ limit, named: options.name !== undefined });
    });
    return distinct(own, place, problems);
  }

  #skipped(
    outer: readonly Placed<Context>[],
    skip: Skip | undefined,
    seen: ReadonlySet<string>,
    place: string,
    problems: Problems,
  ): readonly Placed<Context>[] {
    if (skip === undefined) return outer;
    if (skip === 'all') return [];
    for (const name of skip) {
      if (seen.has(name)) continue;
      problems.add(
        'unknown-skip',
        place,
        `@SkipRateLimit(${shown(name)}) skips nothing: no limit of that name comes from the module or the class.`,
        seen.size === 0
          ? 'Remove it: no limit comes from there.'
          : `These do: ${[...seen].join(', ')}. To leave out a limit of the method itself, remove its decorator.`,
      );
    }
    return outer.filter(({ limit }) => !skip.includes(limit.name));
  }

  /** Two classes of the same name in modules of the same name would share the buckets of their routes. */
  #checkOwner(
    route: RouteDeclaration<Context>,
    className: string,
    limits: readonly Placed<Context>[],
    problems: Problems,
  ): void {
    if (!limits.some(({ limit }) => limit.reach === 'class' || limit.reach === 'route')) return;
    const owner = this.#owners.get(className);
    if (owner === undefined) this.#owners.set(className, route.classRef);
    else if (owner !== route.classRef) {
      problems.add(
        'ambiguous-bucket',
        `${route.class}.${route.method}`,
        `Another class is called ${className} too, and their routes would share buckets.`,
        'Rename one of the classes or modules, or use a named scope: @ThrottleScope.',
      );
    }
  }
}

/** Inner limits behind the outer ones, of which those with the name of an inner one give way. */
function replaced<Context>(
  outer: readonly Placed<Context>[],
  inner: readonly Placed<Context>[],
): readonly Placed<Context>[] {
  const names = new Set(inner.filter(({ named }) => named).map(({ limit }) => limit.name));
  return [...outer.filter(({ limit }) => !names.has(limit.name)), ...inner];
}

/** The limits without those whose name another one of them has, which is a mistake. */
function distinct<Context>(
  limits: readonly Placed<Context>[],
  place: string,
  problems: Problems,
): readonly Placed<Context>[] {
  const names = new Set<string>();
  return limits.filter(({ limit: { name } }) => {
    const first = !names.has(name);
    names.add(name);
    if (first) return true;
    problems.add(
      'duplicate-name',
      place,
      `Two limits are called ${shown(name)} here.`,
      'Give each a name of its own: clients tell limits apart by it.',
    );
    return false;
  });
}
