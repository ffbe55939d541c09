import { Logger } from '@nestjs/common';
import type { RateLimitContext } from './context.js';
import type { RoutePlan } from './plans.js';

/** How many anonymous requests of a route are looked at before it is taken to have no users. */
const LOOKS = 100;

interface Finishing {
  once(event: 'finish', listener: () => void): void;
}

/**
 * Notices routes whose limits depend on the user but were decided before there was one: something
 * behind all guards, such as an interceptor, sets it. Says so once a route.
 */
export class LateUsers {
  readonly #looksLeft = new WeakMap<RoutePlan, number>();
  readonly #logger = new Logger('RateLimit');

  watch(plan: RoutePlan, context: RateLimitContext): void {
    if (context.transport !== 'http' || context.authenticated) return;
    const left = this.#looksLeft.get(plan) ?? LOOKS;
    if (left === 0) return;
    this.#looksLeft.set(plan, left - 1);
    const response = context.execution.getArgByIndex<Finishing & { readonly raw?: Finishing }>(1);
    (response.raw ?? response).once('finish', () => {
      if (!context.authenticated || this.#looksLeft.get(plan) === 0) return;
      this.#looksLeft.set(plan, 0);
      this.#logger.warn(
        `${plan.route}: request.user was set only after its limits were decided, so that its callers counted as anonymous. Set it in middleware or in a guard.`,
      );
    });
  }
}
