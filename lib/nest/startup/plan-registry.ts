import { type ExecutionContext, Logger, type Type } from '@nestjs/common';
import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { ErrorCollector } from '../../core/errors.js';
import type { RouteCompiler, RouteDeclaration } from '../../plan/compile.js';
import type { Limit } from '../../plan/limit.js';
import { compilePlan, type GuardOverrides, requirePhase } from '../../plan/plan.js';
import type { RateLimitContext } from '../context/call-context.js';
import { afterGuardsGuard } from '../handlers/after-guards-guard.js';
import { bindLastGuard, bindLastInterceptor } from '../handlers/metadata.js';
import { resultInterceptor } from '../handlers/result-interceptor.js';
import type { Plans, RoutePlan } from '../request/request-check.js';
import { type CompiledRoute, earlyIdentities, earlyUserLimits, warnings } from './diagnostics.js';
import { followingGuard, guardOverrides, type Handler, routeDeclaration } from './find-handlers.js';

/** The plans of an application by class and handler. */
export class PlanRegistry implements Plans {
  readonly byClass = new Map<unknown, Map<unknown, RoutePlan | null>>();
  /** The limits of each route that was known at start-up. */
  routes: readonly CompiledRoute[] = [];
  readonly #logger = new Logger('RateLimit');
  #config: ApplicationConfig | undefined;

  #overrides: GuardOverrides;

  /** @param hasExempt True if the module has an `exempt` function. */
  constructor(
    readonly compiler: RouteCompiler<RateLimitContext>,
    readonly modules: ModulesContainer,
    readonly hasExempt: boolean,
  ) {
    this.#overrides = this.#findOverrides();
  }

  #findOverrides(): GuardOverrides {
    const { exempts, identifies } = guardOverrides(this.modules);
    return { exempts: exempts || this.hasExempt, identifies };
  }

  /** Compiles the limits of handlers, before Nest binds guards to their routes. */
  compile(handlers: readonly Handler[], errors: ErrorCollector): void {
    this.routes = handlers.map((handler) => {
      const limits = this.compiler.compile(handler.route, errors);
      if (limits.some((limit) => this.#mayBeLate(limit))) bindLastGuard(handler.method, afterGuardsGuard);
      if (limits.some((limit) => limit.countWhen !== null))
        bindLastInterceptor(handler.method, resultInterceptor);
      return { handler, limits };
    });
  }

  #mayBeLate({ readsUser, phase }: Limit<RateLimitContext>): boolean {
    return readsUser || phase === 'after-guards' || this.#overrides.exempts;
  }

  /**
   * Assigns limits to phases, once all guards of the application are known. A limit that does not state its phase
   * where it must goes to `errors`.
   *
   * @param registered True if the module has registered its guard.
   */
  finalize(config: ApplicationConfig, registered: boolean, errors: ErrorCollector): void {
    this.#config = config;
    // Factories of guards have run by now.
    this.#overrides = this.#findOverrides();
    const guarded: CompiledRoute[] = [];
    const plans = this.routes.map((route) => {
      const { handler, limits } = route;
      const { type, method, name } = handler;
      const following = followingGuard(config, type, method);
      if (following !== null) guarded.push(route);
      if (following !== null) for (const limit of limits) requirePhase(limit, following, errors);
      return this.#add(type, method, name, limits, following !== null);
    });
    const { identifies } = this.#overrides;
    for (const text of [
      ...warnings(this.routes, plans, config, registered, identifies),
      // A guard of the application may charge a limit whatever its key says.
      ...(identifies ? earlyIdentities(guarded) : earlyUserLimits(guarded)),
    ])
      this.#logger.warn(text);
  }

  #add(
    type: Type,
    method: unknown,
    route: string,
    limits: readonly Limit<RateLimitContext>[],
    hasFollowingGuard: boolean,
  ): RoutePlan | null {
    const plan = compilePlan(route, limits, hasFollowingGuard, this.#overrides.exempts);
    const plans = this.byClass.get(type) ?? new Map<unknown, RoutePlan | null>();
    this.byClass.set(type, plans.set(method, plan));
    return plan;
  }

  /** Compiles the plan of a handler that was unknown at start-up. Errors are logged, and the module's limits apply. */
  compileLate(execution: ExecutionContext): RoutePlan | null {
    const type = execution.getClass();
    const method = execution.getHandler();
    const errors = new ErrorCollector();
    const route = routeDeclaration(type, method, method.name, '');
    const name = `${route.class}.${route.method}`;
    let limits = this.compiler.compile(route, errors);
    for (const { code, source, message, fix } of errors.errors) {
      this.#logger.error(`[${code}] ${source}: ${message} ${fix} Only the limits of the module apply.`);
    }
    if (errors.errors.length > 0) {
      const bare: RouteDeclaration<RateLimitContext> = {
        ...route,
        classes: [],
        handler: { limits: [], skip: undefined },
      };
      limits = this.compiler.compile(bare, new ErrorCollector());
    }
    const following = this.#config === undefined ? null : followingGuard(this.#config, type, method);
    if (following !== null) {
      // Nest has bound the guards of this handler already, so that none of ours can run after them.
      const unphased = new ErrorCollector();
      for (const limit of limits) requirePhase(limit, following, unphased);
      if (unphased.errors.length > 0 || limits.some((limit) => this.#mayBeLate(limit))) {
        this.#logger.error(
          `${name} was not known at start-up, so all its limits are decided before its own guards have run, without the user. Provide ${route.class} as a class.`,
        );
      }
    }
    return this.#add(type, method, name, limits, false);
  }
}
