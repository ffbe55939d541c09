import { type ExecutionContext, Logger, type Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { Problems } from '../core/errors.js';
import type { RouteCompiler, RouteDeclaration } from '../plan/compile.js';
import type { Limit } from '../plan/limit.js';
import { neverBinding } from '../plan/never-binds.js';
import { type Plan, stagedPlan } from '../plan/plan.js';
import type { RateLimitContext } from './context.js';
import { runsGuardsBehind, runsOurGuard } from './guards.js';
import { type Handler, routeOf } from './handlers.js';
import { lastGuard } from './last-guard.js';
import { bindLastGuard } from './metadata.js';

/** The plan of a call of this library's handlers. */
export type RoutePlan = Plan<RateLimitContext>;

type Limits = readonly Limit<RateLimitContext>[];

const nameOf = ({ route }: Handler): string => `${route.class}.${route.method}`;

/** The plans of an application by class and handler. */
export class Plans {
  readonly #compiler: RouteCompiler<RateLimitContext>;
  readonly #exempts: boolean;
  readonly #logger = new Logger('RateLimit');
  readonly #byClass = new Map<unknown, Map<unknown, RoutePlan | null>>();
  readonly #limits = new Map<Handler, Limits>();

  constructor(compiler: RouteCompiler<RateLimitContext>, exempts: boolean) {
    this.#compiler = compiler;
    this.#exempts = exempts;
  }

  /** Compiles the limits of handlers, before Nest binds guards to their routes. */
  compile(handlers: readonly Handler[], problems: Problems): void {
    for (const handler of handlers) {
      const limits = this.#compiler.compile(handler.route, problems);
      this.#limits.set(handler, limits);
      if (this.#exempts || limits.some((limit) => limit.needsUser)) bindLastGuard(handler.method, lastGuard);
    }
  }

  /** Settles when each limit is decided, once all guards of the application are known. */
  stage(config: ApplicationConfig): void {
    for (const [handler, limits] of this.#limits) {
      const userComesLater = runsGuardsBehind(config, handler.type, handler.method);
      this.#set(
        handler.type,
        handler.method,
        stagedPlan(nameOf(handler), limits, userComesLater, this.#exempts),
      );
    }
    this.#warn(config);
    this.#limits.clear();
  }

  /** The plan of a call, null when no limit applies to it. */
  of(execution: ExecutionContext): RoutePlan | null {
    const type = execution.getClass();
    const method = execution.getHandler();
    const plan = this.#byClass.get(type)?.get(method);
    return plan === undefined ? this.#compileLate(type, method) : plan;
  }

  #set(type: unknown, method: unknown, plan: RoutePlan | null): RoutePlan | null {
    const plans = this.#byClass.get(type) ?? new Map<unknown, RoutePlan | null>();
    this.#byClass.set(type, plans.set(method, plan));
    return plan;
  }

  /** A handler that was unknown at start-up: what is wrong with it is logged, and the module's limits apply. */
  #compileLate(type: Type, method: { readonly name: string }): RoutePlan | null {
    const problems = new Problems();
    const route = routeOf(type, method, method.name, '');
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
    return this.#set(
      type,
      method,
      stagedPlan(`${route.class}.${route.method}`, limits, false, this.#exempts),
    );
  }

  #warn(config: ApplicationConfig): void {
    const warnings = new Set<string>();
    for (const [handler, limits] of this.#limits) {
      for (const text of neverBinding(limits)) warnings.add(text);
      if (limits.length > 0 && !runsOurGuard(config, handler.type, handler.method)) {
        warnings.add(
          `${nameOf(handler)} has limits, but no guard decides them. Remove registerGuard: false, or add @UseGuards(RateLimitGuard).`,
        );
      }
    }
    for (const text of warnings) this.#logger.warn(text);
  }
}
