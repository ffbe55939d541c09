import { Logger } from '@nestjs/common';
import { describeValue } from '../../core/errors.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { RoutePlan } from './plan-registry.js';

/** How many anonymous requests of a route are looked at one by one, and of those after them one in so many. */
const LOOKS = 100;

interface Finishing {
  once(event: 'finish', listener: () => void): void;
}

/** What is known of the callers of a route. */
interface Route {
  anonymous: number;
  /** Whether a user was there when the limits were decided. */
  metUser: boolean;
  warned: boolean;
}

/**
 * Notices routes whose limits depend on the user but are decided when there is none: because something
 * behind all guards sets it, such as an interceptor, or because nothing does. Says so once a route.
 */
export class UserDiagnostics {
  readonly #routes = new WeakMap<RoutePlan, Route>();
  readonly #logger = new Logger('RateLimit');

  /** To be told of each call whose limits asked for the user. */
  note(plan: RoutePlan, context: RateLimitContext): void {
    const route = this.#routeOf(plan);
    if (!context.askedInVain) {
      route.metUser = true;
      return;
    }
    if (route.warned || context.transport !== 'http') return;
    route.anonymous++;
    if (route.anonymous === LOOKS) this.#warnOfNoUser(plan, route);
    if (route.anonymous <= LOOKS || route.anonymous % LOOKS === 0) this.#look(plan, context, route);
  }

  #routeOf(plan: RoutePlan): Route {
    let route = this.#routes.get(plan);
    if (route === undefined) {
      route = { anonymous: 0, metUser: false, warned: false };
      this.#routes.set(plan, route);
    }
    return route;
  }

  /** Looks again when the response is finished. */
  #look(plan: RoutePlan, context: RateLimitContext, route: Route): void {
    const response = context.execution.getArgByIndex<Finishing & { readonly raw?: Finishing }>(1);
    (response.raw ?? response).once('finish', () => {
      if (route.warned || !context.authenticated) return;
      route.warned = true;
      this.#logger.warn(
        `${plan.route}: request.user was set only after its limits were decided, so that its callers counted as anonymous. Set it in middleware or in a guard.`,
      );
    });
  }

  #warnOfNoUser(plan: RoutePlan, route: Route): void {
    if (route.metUser || plan.userOnlyLimit === null) return;
    route.warned = true;
    this.#logger.warn(
      `${plan.route}: ${describeValue(plan.userOnlyLimit.name)} is for signed-in users alone, and none of the first ${LOOKS} callers was signed in, so that it limited nobody. Authenticate in middleware or in a guard, or use key: 'user|ip'.`,
    );
  }
}
