import { Scope, type Type } from '@nestjs/common';
import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';
import type { Awaitable } from '../../core/awaitable.js';
import type { ErrorCollector } from '../../core/errors.js';
import type { ResolverClass } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';

/** Where a class is asked for, and its one instance once that is known. */
interface ResolverEntry {
  readonly sources: Set<string>;
  instance: object | null;
}

/** Finds the resolvers of limits among the providers of an application. */
export class Resolvers {
  /** By request, so that what is made for one is made once. */
  readonly #ids = new WeakMap<object, ContextId>();
  readonly #resolved = new Map<Type<object>, ResolverEntry>();

  constructor(readonly moduleRef: ModuleRef) {}

  /** The instance of a class for a request: the only one, or the request's own where it depends on that. */
  readonly resolve = <Resolver>(
    type: ResolverClass<Resolver>,
    source: string,
  ): ((context: RateLimitContext) => Awaitable<Resolver>) => {
    const known = this.#resolved.get(type as unknown as Type<object>) ?? {
      sources: new Set(),
      instance: null,
    };
    this.#resolved.set(type as unknown as Type<object>, known);
    known.sources.add(source);
    return (context) =>
      (known.instance as Resolver | null) ??
      (this.#ofRequest(type as unknown as Type<object>, context) as Awaitable<Resolver>);
  };

  /** Finds the instances once all providers are there; what is none goes to `errors`. */
  resolveAll(errors: ErrorCollector): void {
    for (const [type, known] of this.#resolved) {
      try {
        if (this.#dependsOnRequest(type)) continue;
        known.instance = this.moduleRef.get(type, { strict: false });
      } catch {
        for (const source of known.sources) {
          errors.add(
            'unknown-resolver',
            source,
            `Nest has no provider ${type.name}.`,
            `Add ${type.name} to the providers of a module.`,
          );
        }
      }
    }
  }

  #dependsOnRequest(type: Type<object>): boolean {
    const { scope } = this.moduleRef.introspect(type);
    return scope !== undefined && scope !== Scope.DEFAULT;
  }

  #ofRequest(type: Type<object>, { rawRequest }: RateLimitContext): Promise<object> {
    let id = this.#ids.get(rawRequest);
    if (id === undefined) {
      id = ContextIdFactory.getByRequest(rawRequest as Record<string, unknown>);
      this.#ids.set(rawRequest, id);
      this.moduleRef.registerRequestByContextId(rawRequest, id);
    }
    return this.moduleRef.resolve(type, id, { strict: false });
  }
}
