import { type ExecutionContext, Logger, type Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { Problems } from '../core/errors.js';
import type { RouteCompiler, RouteDeclaration } from '../plan/compile.js';
import type { Limit } from '../plan/limit.js';
import { type Plan, stagedPlan, type Ways } from '../plan/plan.js';
import type { RateLimitStats, RouteCounter } from '../stats/stats.js';
import type { RateLimitContext } from './context.js';
import { countingInterceptor } from './counting-interceptor.js';
import { finishingGuard } from './finishing-guard.js';
import { runsGuardsBehind } from './guards.js';
import { type Handler, routeOf } from './handlers.js';
import { bindLastGuard, bindLastInterceptor } from './metadata.js';
import { type CompiledRoute, warnings } from './warnings.js';

/** The plan of a call of this library's handlers, and where it is counted. */
export interface RoutePlan extends Plan<RateLimitContext> {
  readonly counter: RouteCounter;
}

/** The plans of an application by class and handler. */
export class Plans {
  readonly #compiler: RouteCompiler<RateLimitContext>;
  readonly #ways: Ways;
  readonly #logger = new Logger('RateLimit');
  readonly #byClass = new Map<unknown, Map<unknown, RoutePlan | null>>();
  /** The limits of each route that was known at start-up. */
  routes: readonly CompiledRoute[] = [];
  #config: ApplicationConfig | undefined;

  constructor(
    compiler: RouteCompiler<RateLimitContext>,
    ways: Ways,
    readonly stats: RateLimitStats,
  ) {
    this.#compiler = compiler;
    this.#ways = ways;
  }

  /** Compiles the limits of handlers, before Nest binds guards to their routes. */
  compile(handlers: readonly Handler[], problems: Problems): void {
    const found: CompiledRoute[] = [];
    for (const handler of handlers) {
      const limits = this.#compiler.compile(handler.route, problems);
      found.push({ handler, limits });
      if (limits.some((limit) => this.#mayNeedUser(limit))) bindLastGuard(handler.method, finishingGuard);
      if (limits.some((limit) => limit.counts !== null))
        bindLastInterceptor(handler.method, countingInterceptor);
    }
    this.routes = found;
  }

  #mayNeedUser({ needsUser, usesFunctions }: Limit<RateLimitContext>): boolean {
    return needsUser || usesFunctions || this.#ways.exempts || this.#ways.identifies;
  }

  /**
   * Settles when each limit is decided, once all guards of the application are known.
   *
   * @param registered Whether the module has registered its guard.
   */
  stage(config: ApplicationConfig, registered: boolean): void {
    this.#config = config;
    const plans = this.routes.map(({ handler, limits }) => {
      const { type, method, name } = handler;
      const plan = stagedPlan(name, limits, runsGuardsBehind(config, type, method), this.#ways);
      return this.#set(type, method, plan);
    });
    for (const text of warnings(this.routes, plans, config, registered, this.#ways)) this.#logger.warn(text);
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
    const problems = new Problems();
    const route = routeOf(type, method, method.name, '');
    const name = `${route.class}.${route.method}`;
    let limits = this.#compiler.compile(route, problems);
    for (const { code, place, what, mend } of problems.found) {
      this.#logger.error(`[${code}] ${place}: ${what} ${mend} Only the limits of the module apply.`);
    }
    if (problems.found.length > 0) {
      const bare: RouteDeclaration<RateLimitContext> = {
        ...route,
        classes: [],
        handler: { limits: [], skip: undefined },
      };
      limits = this.#compiler.compile(bare, new Problems());
    }
    const needsUser = limits.some((limit) => limit.needsUser);
    if (needsUser && this.#config !== undefined && runsGuardsBehind(this.#config, type, method)) {
      this.#logger.error(
        `${name} was not known at start-up, so its limits on users are decided before its own guards have run. Provide ${route.class} as a class.`,
      );
    }
    return this.#set(type, method, stagedPlan(name, limits, false, this.#ways));
  }
}
