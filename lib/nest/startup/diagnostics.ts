import { Logger, type Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { describeValue } from '../../core/errors.js';
import type { Subscriber } from '../../observe/publisher.js';
import type { Limit } from '../../plan/limit.js';
import { impossibleLimits, inexactBlocks, redundantLimits } from '../../plan/redundancy.js';
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

/** Returns true if a limit skips every request, because it is only for users and is decided while none is known. */
const skipsAll = ({ phase, keyForms }: Limit<RateLimitContext>): boolean =>
  phase === 'before-guards' &&
  keyForms.length > 0 &&
  keyForms.every((forms) => forms.some(({ onlyFor }) => onlyFor === 'users'));

/** Returns true if a limit holds back a flood of requests that a guard rejects. */
const holdsBackFloods = (limit: Limit<RateLimitContext>): boolean =>
  !limit.shadow &&
  limit.cost !== 0 &&
  (limit.rate.kind !== 'fixed' || limit.rate.policy !== null) &&
  !isForgeable(limit) &&
  !skipsAll(limit);

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

/**
 * Warns of limits that are only for users, but are decided before the guards that set them.
 *
 * @param guarded Routes on which another guard runs after ours.
 */
export function earlyUserLimits(guarded: readonly CompiledRoute[]): readonly string[] {
  const routes = guarded.filter(({ limits }) => limits.some(skipsAll));
  const limit = routes[0]?.limits.find(skipsAll);
  return limit === undefined
    ? []
    : [
        `${firstOf(routes.map(({ handler }) => handler.name))}: ${describeValue(limit.name)} is only for logged-in users, but phase: 'before-guards' decides it before any guard has set the user, so it limits nobody unless middleware sets one. Write phase: 'after-guards'.`,
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
    ...routes.flatMap(({ limits }) => [...impossibleLimits(limits), ...inexactBlocks(limits)]),
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

/** The clients of a route so far. */
interface RouteClients {
  anonymous: number;
  /** True once a user was known when the limits were decided. */
  hadUser: boolean;
  isWarned: boolean;
}

const isEarly = ({ phase }: Limit<RateLimitContext>): boolean => phase === 'before-guards';

/** Returns the fix for a user that is set too late. A guard is too late as well for a limit that is decided before it. */
const setUserFix = ({ beforeGuards }: RoutePlan): string =>
  beforeGuards.limits.some((limit) => limit.readsUser && isEarly(limit))
    ? `Set it in middleware, or in a guard and write phase: 'after-guards' in the limits.`
    : 'Set it in middleware, or in a guard if the limits are decided after guards.';

const authenticateFix = (limit: Limit<RateLimitContext>): string =>
  isEarly(limit)
    ? `If a guard authenticates, write phase: 'after-guards'. Otherwise authenticate in middleware, or use key: 'user|ip'.`
    : `Authenticate in middleware or in a guard, or use key: 'user|ip'.`;

/**
 * Warns once of each route whose limits depend on the user but are decided when there is none: because something that
 * runs after all guards sets it, such as an interceptor, or because nothing does.
 */
export class UserDiagnostics {
  readonly #routes = new WeakMap<RoutePlan, RouteClients>();
  readonly #logger = new Logger('RateLimit');

  readonly onPublished: Subscriber = (event) => {
    // A call that was rejected earlier says nothing of its user.
    if (event.kind !== 'request' || event.outcome === null || !event.isComplete) return;
    const plan = event.plan as RoutePlan;
    if (plan.readsUser) this.#inspect(plan, event.caller as RateLimitContext);
  };

  #inspect(plan: RoutePlan, context: RateLimitContext): void {
    const clients = this.#clientsOf(plan);
    if (context.user !== undefined || context.authenticated) {
      clients.hadUser = true;
      return;
    }
    if (clients.isWarned || context.transport !== 'http') return;
    clients.anonymous++;
    if (clients.anonymous === MAX_INSPECTED) this.#warnOfNoUser(plan, clients);
    if (clients.anonymous > MAX_INSPECTED && clients.anonymous % MAX_INSPECTED !== 0) return;
    const response = context.execution.getArgByIndex<Finishing & { readonly raw?: Finishing }>(1);
    (response.raw ?? response).once('finish', () => {
      if (clients.isWarned || context.user === undefined) return;
      clients.isWarned = true;
      this.#logger.warn(
        `${plan.route}: request.user was set only after its limits were decided, so its clients counted as anonymous. ${setUserFix(plan)}`,
      );
    });
  }

  #clientsOf(plan: RoutePlan): RouteClients {
    let clients = this.#routes.get(plan);
    if (clients === undefined) {
      clients = { anonymous: 0, hadUser: false, isWarned: false };
      this.#routes.set(plan, clients);
    }
    return clients;
  }

  #warnOfNoUser(plan: RoutePlan, clients: RouteClients): void {
    if (clients.hadUser || plan.userOnlyLimit === null) return;
    clients.isWarned = true;
    this.#logger.warn(
      `${plan.route}: ${describeValue(plan.userOnlyLimit.name)} is only for logged-in users, and none of the first ${MAX_INSPECTED} clients was logged in, so it limited nobody. ${authenticateFix(plan.userOnlyLimit)}`,
    );
  }
}
