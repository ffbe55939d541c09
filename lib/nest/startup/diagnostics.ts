import { Logger, type Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { describeValue } from '../../core/errors.js';
import type { Subscriber } from '../../observe/publisher.js';
import type { Limit } from '../../plan/limit.js';
import { impossibleLimits, redundantLimits } from '../../plan/redundancy.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { RoutePlan } from '../request/request-check.js';
import { type Handler, limitingGuards } from './find-handlers.js';

/** A handler and its limits. */
export interface CompiledRoute {
  readonly handler: Handler;
  readonly limits: readonly Limit<RateLimitContext>[];
}

/** Returns true if a client can invent who is charged: an alternative of the key has nothing but the client's values. */
const isForgeable = ({ keyForms }: Limit<RateLimitContext>): boolean =>
  keyForms.some((forms) => forms.every((form) => form.isForgeable));

/** Returns the first of several routes and the number of the others. */
function firstOf([first = '', ...others]: readonly string[]): string {
  return others.length === 0
    ? first
    : `${first} and ${others.length} ${others.length === 1 ? 'other' : 'others'}`;
}

/** Returns true if a limit holds back a flood of requests that a guard rejects. */
const holdsBackFloods = (limit: Limit<RateLimitContext>): boolean =>
  !limit.shadow &&
  limit.cost !== 0 &&
  (limit.rate.kind !== 'fixed' || limit.rate.policy !== null) &&
  !isForgeable(limit);

/** Warns of routes on which a client that invents values is not limited at all. */
const forgeableRoutes = ({ handler, limits }: CompiledRoute): readonly string[] =>
  limits.some((limit) => !limit.shadow) && limits.every((limit) => limit.shadow || isForgeable(limit))
    ? [
        `${handler.name}: every limit counts values that a client can invent, so a client that changes them is not limited. Add a limit with key: 'ip'.`,
      ]
    : [];

/** Warns of routes on which no limit that holds back floods is decided before the guards. */
function unprotectedRoutes(plans: readonly (RoutePlan | null)[]): readonly string[] {
  const routes = plans.filter(
    (plan) =>
      plan !== null &&
      plan.afterGuards !== null &&
      plan.afterGuards.limits.length > 0 &&
      !plan.beforeGuards.limits.some(holdsBackFloods),
  );
  if (routes.length === 0) return [];
  return [
    `${firstOf(routes.map((plan) => (plan as RoutePlan).route))}: all limits are decided after the other guards, so requests that these reject, such as guessed passwords and tokens, are not limited. Add a limit with key: 'ip', or with phase: 'before-guards'.`,
  ];
}

/**
 * Warns of a guard of the application whose `identity()` runs before other guards, and so without the user.
 *
 * @param guarded Routes on which another guard runs after ours.
 */
export function earlyIdentities(guarded: readonly CompiledRoute[]): readonly string[] {
  const routes = guarded.filter(({ limits }) =>
    limits.some(({ phase, readsUser }) => phase === undefined && !readsUser),
  );
  return routes.length === 0
    ? []
    : [
        `${firstOf(routes.map(({ handler }) => handler.name))}: a guard of the application overrides identity(), which runs before other guards, without the user whom they set. If it reads the user, write phase: 'after-guards' in the limits; if not, phase: 'before-guards' ends this warning.`,
      ];
}

interface Guarded {
  readonly name: string;
  readonly guards: readonly unknown[];
}

/** Warns of guards that decide nothing, because the registered one runs first. */
const ineffectiveGuards = ({ guards: [first, ...others] }: Guarded): readonly string[] =>
  others
    .filter((guard) => guard !== first)
    .map(
      (guard) =>
        `${(guard as Type).name} never decides, because the registered guard runs first. Set registerGuard: false for RateLimitModule.`,
    );

const unguardedRoutes = ({ name, guards }: Guarded): readonly string[] =>
  guards.length > 0
    ? []
    : [
        `${name} has limits, but no guard decides them. Remove registerGuard: false, or add @UseGuards(RateLimitGuard).`,
      ];

/** Returns the warnings of start-up: limits that have no effect, or less than they seem to have. */
export function warnings(
  routes: readonly CompiledRoute[],
  plans: readonly (RoutePlan | null)[],
  config: ApplicationConfig,
  registered: boolean,
  identifies: boolean,
): ReadonlySet<string> {
  const limited = routes.filter(({ limits }) => limits.length > 0);
  const guarded = limited.map(({ handler: { name, type, method } }) => ({
    name,
    guards: limitingGuards(config, type, method),
  }));
  return new Set([
    // A guard of the application may charge limits with the same key differently.
    ...(identifies ? [] : redundantLimits(routes.map(({ limits }) => limits))),
    ...routes.flatMap(({ limits }) => impossibleLimits(limits)),
    ...routes.flatMap(forgeableRoutes),
    ...guarded.flatMap(registered ? ineffectiveGuards : unguardedRoutes),
    ...unprotectedRoutes(plans),
  ]);
}

/** Looks at this many anonymous requests of a route, and after them at one in so many. */
const MAX_INSPECTED = 100;

interface Finishing {
  once(event: 'finish', listener: () => void): void;
}

/** The callers of a route so far. */
interface RouteCallers {
  anonymous: number;
  /** True once a user was known when the limits were decided. */
  hadUser: boolean;
  isWarned: boolean;
}

/**
 * Warns once of each route whose limits depend on the user but are decided when there is none: because something that
 * runs after all guards sets it, such as an interceptor, or because nothing does.
 */
export class UserDiagnostics {
  readonly #routes = new WeakMap<RoutePlan, RouteCallers>();
  readonly #logger = new Logger('RateLimit');

  readonly onPublished: Subscriber = (event) => {
    // A call that was rejected earlier says nothing of its user.
    if (event.kind !== 'request' || event.outcome === null || !event.isComplete) return;
    const plan = event.plan as RoutePlan;
    if (plan.readsUser) this.#inspect(plan, event.caller as RateLimitContext);
  };

  #inspect(plan: RoutePlan, context: RateLimitContext): void {
    const callers = this.#callersOf(plan);
    if (context.user !== undefined || context.authenticated) {
      callers.hadUser = true;
      return;
    }
    if (callers.isWarned || context.transport !== 'http') return;
    callers.anonymous++;
    if (callers.anonymous === MAX_INSPECTED) this.#warnOfNoUser(plan, callers);
    if (callers.anonymous > MAX_INSPECTED && callers.anonymous % MAX_INSPECTED !== 0) return;
    const response = context.execution.getArgByIndex<Finishing & { readonly raw?: Finishing }>(1);
    (response.raw ?? response).once('finish', () => {
      if (callers.isWarned || context.user === undefined) return;
      callers.isWarned = true;
      this.#logger.warn(
        `${plan.route}: request.user was set only after its limits were decided, so its callers counted as anonymous. Set it in middleware, or in a guard if the limits are decided after guards.`,
      );
    });
  }

  #callersOf(plan: RoutePlan): RouteCallers {
    let callers = this.#routes.get(plan);
    if (callers === undefined) {
      callers = { anonymous: 0, hadUser: false, isWarned: false };
      this.#routes.set(plan, callers);
    }
    return callers;
  }

  #warnOfNoUser(plan: RoutePlan, callers: RouteCallers): void {
    if (callers.hadUser || plan.userOnlyLimit === null) return;
    callers.isWarned = true;
    this.#logger.warn(
      `${plan.route}: ${describeValue(plan.userOnlyLimit.name)} is only for signed-in users, and none of the first ${MAX_INSPECTED} callers was signed in, so it limited nobody. Authenticate in middleware or in a guard, or use key: 'user|ip'.`,
    );
  }
}
