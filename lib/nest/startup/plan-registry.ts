import { type ExecutionContext, Logger, type Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { ErrorCollector } from '../../core/errors.js';
import type { RateLimitStats, RouteCounter } from '../../observe/stats/stats.js';
import type { RouteCompiler, RouteDeclaration } from '../../plan/compile.js';
import type { Limit } from '../../plan/limit.js';
import { compilePlan, type GuardOverrides, type Plan } from '../../plan/plan.js';
import type { RateLimitContext } from '../context/call-context.js';
import { afterGuardsGuard } from '../handlers/after-guards-guard.js';
import { bindLastGuard, bindLastInterceptor } from '../handlers/metadata.js';
import { resultInterceptor } from '../handlers/result-interceptor.js';
import { type CompiledRoute, warnings } from './diagnostics.js';
import { type Handler, routeDeclaration } from './find-handlers.js';
import { hasFollowingGuard } from './guards.js';

/** The plan of a call of this library's handlers, and where it is counted. */
export interface RoutePlan extends Plan<RateLimitContext> {
  readonly counter: RouteCounter;
}

/** The plans of an application by class and handler. */
export class PlanRegistry {
  readonly #compiler: RouteCompiler<RateLimitContext>;
  readonly #overrides: GuardOverrides;
  readonly #logger = new Logger('RateLimit');
  readonly #byClass = new Map<unknown, Map<unknown, RoutePlan | null>>();
  /** The limits of each route that was known at start-up. */
  routes: readonly CompiledRoute[] = [];
  #config: ApplicationConfig | undefined;

  constructor(
    compiler: RouteCompiler<RateLimitContext>,
    overrides: GuardOverrides,
    readonly stats: RateLimitStats,
  ) {
    this.#compiler = compiler;
    this.#overrides = overrides;
  }

  /** Compiles the limits of handlers, before Nest binds guards to their routes. */
  compile(handlers: readonly Handler[], errors: ErrorCollector): void {
    const found: CompiledRoute[] = [];
    for (const handler of handlers) {
      const limits = this.#compiler.compile(handler.route, errors);
      found.push({ handler, limits });
      if (limits.some((limit) => this.#mayNeedUser(limit))) bindLastGuard(handler.method, afterGuardsGuard);
      if (limits.some((limit) => limit.countWhen !== null))
        bindLastInterceptor(handler.method, resultInterceptor);
    }
    this.routes = found;
  }

  #mayNeedUser({ readsUser, usesFunctions }: Limit<RateLimitContext>): boolean {
    return readsUser || usesFunctions || this.#overrides.exempts || this.#overrides.identifies;
  }

  /**
   * Settles when each limit is decided, once all guards of the application are known.
   *
   * @param registered Whether the module has registered its guard.
   */
  finalize(config: ApplicationConfig, registered: boolean): void {
    this.#config = config;
    const plans = this.routes.map(({ handler, limits }) => {
      const { type, method, name } = handler;
      const plan = compilePlan(name, limits, hasFollowingGuard(config, type, method), this.#overrides);
      return this.#set(type, method, plan);
    });
    for (const text of warnings(this.routes, plans, config, registered, this.#overrides))
      this.#logger.warn(text);
  }

  /** The plan of a call, null when no limit applies to it. */
  of(execution: ExecutionContext): RoutePlan | null {
    const type = execution.getClass();
    const method = execution.getHandler();
    const plan = this.#byClass.get(type)?.get(method);
    return plan === undefined ? this.#compileLate(type, method) : plan;
  }

  #set(type: Type, method: unknown, staged: Plan<RateLimitContext> | null): RoutePlan | null {
    const plan = staged && Object.freeze({ ...staged, counter: this.stats.routeCounter(staged.route) });
    const plans = this.#byClass.get(type) ?? new Map<unknown, RoutePlan | null>();
    this.#byClass.set(type, plans.set(method, plan));
    return plan;
  }

  /** A handler that was unknown at start-up: what is wrong with it is logged, and the module's limits apply. */
  #compileLate(type: Type, method: { readonly name: string }): RoutePlan | null {
    const errors = new ErrorCollector();
    const route = routeDeclaration(type, method, method.name, '');
    const name = `${route.class}.${route.method}`;
    let limits = this.#compiler.compile(route, errors);
    for (const { code, source, message, fix } of errors.errors) {
      this.#logger.error(`[${code}] ${source}: ${message} ${fix} Only the limits of the module apply.`);
    }
    if (errors.errors.length > 0) {
      const bare: RouteDeclaration<RateLimitContext> = {
        ...route,
        classes: [],
        handler: { limits: [], skip: undefined },
      };
      limits = this.#compiler.compile(bare, new ErrorCollector());
    }
    const needsUser = limits.some((limit) => limit.readsUser);
    if (needsUser && this.#config !== undefined && hasFollowingGuard(this.#config, type, method)) {
      this.#logger.error(
        `${name} was not known at start-up, so its limits on users are decided before its own guards have run. Provide ${route.class} as a class.`,
      );
    }
    return this.#set(type, method, compilePlan(name, limits, false, this.#overrides));
  }
}
