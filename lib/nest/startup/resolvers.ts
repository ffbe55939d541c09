import { Scope, type Type } from '@nestjs/common';
import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';
import type { Awaitable } from '../../core/awaitable.js';
import type { ErrorCollector } from '../../core/errors.js';
import type { ResolverClass } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';

/** A class that limits use as a resolver, and its only instance if it has one. */
interface ResolverEntry {
  readonly sources: Set<string>;
  instance: object | null;
}

/** Finds the resolvers of limits among the providers of an application. */
export class Resolvers {
  /** By request, so that Nest instantiates a class once for each. */
  readonly #ids = new WeakMap<object, ContextId>();
  readonly #resolved = new Map<Type<object>, ResolverEntry>();

  constructor(readonly moduleRef: ModuleRef) {}

  /** Returns the instance of a class for a request: the only one, or the request's own if it depends on that. */
  readonly resolve = <Resolver>(
    type: ResolverClass<Resolver>,
    source: string,
  ): ((context: RateLimitContext) => Awaitable<Resolver>) => {
    const entry = this.#resolved.get(type as unknown as Type<object>) ?? {
      sources: new Set(),
      instance: null,
    };
    this.#resolved.set(type as unknown as Type<object>, entry);
    entry.sources.add(source);
    return (context) =>
      (entry.instance as Resolver | null) ??
      (this.#ofRequest(type as unknown as Type<object>, context) as Awaitable<Resolver>);
  };

  /** Finds the instances once all providers exist; a class that is not a provider goes to `errors`. */
  resolveAll(errors: ErrorCollector): void {
    for (const [type, entry] of this.#resolved) {
      try {
        if (this.#dependsOnRequest(type)) continue;
        entry.instance = this.moduleRef.get(type, { strict: false });
      } catch {
        for (const source of entry.sources) {
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

  #ofRequest(type: Type<object>, { request }: RateLimitContext): Promise<object> {
    let id = this.#ids.get(request);
    if (id === undefined) {
      id = ContextIdFactory.getByRequest(request as object as Record<string, unknown>);
      this.#ids.set(request, id);
      this.moduleRef.registerRequestByContextId(request, id);
    }
    return this.moduleRef.resolve(type, id, { strict: false });
  }
}
