import type { ApplicationConfig } from '@nestjs/core';
import type { Limit } from '../plan/limit.js';
import { neverAdmitting, neverBinding } from '../plan/never-binds.js';
import type { Plan } from '../plan/plan.js';
import type { RateLimitContext } from './context.js';
import { decidingGuards, runsOurGuard } from './guards.js';
import type { Handler } from './handlers.js';

/** A handler and its limits. */
export interface CompiledRoute {
  readonly handler: Handler;
  readonly limits: readonly Limit<RateLimitContext>[];
}

/** Routes on which guards behind ours refuse callers before any limit has counted them. */
function unguarded(plans: readonly (Plan<RateLimitContext> | null)[]): readonly string[] {
  const routes = plans.filter((plan) => plan?.atGuard.length === 0 && (plan.afterGuards?.length ?? 0) > 0);
  const [first] = routes;
  if (first === undefined || first === null) return [];
  const others = routes.length === 1 ? '' : ` and ${routes.length - 1} others`;
  return [
    `${first.route}${others}: all limits wait for the user, so a flood of requests that the guards refuse, such as guessed tokens, is not limited. Add a limit with key: 'ip'.`,
  ];
}

/** Guards that are never asked, because the registered one has decided already. */
function shadowed(config: ApplicationConfig, registered: boolean): readonly string[] {
  const [first, ...others] = decidingGuards(config);
  const never = others.find((guard) => guard.constructor !== first?.constructor);
  if (!registered || never === undefined) return [];
  return [
    `${never.constructor.name} never decides, since the registered guard goes first. Set registerGuard: false for RateLimitModule.`,
  ];
}

/** What is worth a word at start-up, though it may be meant. */
export function warnings(
  routes: readonly CompiledRoute[],
  plans: readonly (Plan<RateLimitContext> | null)[],
  config: ApplicationConfig,
  registered: boolean,
): ReadonlySet<string> {
  const undecided = routes.filter(
    ({ handler, limits }) =>
      limits.length > 0 && !registered && !runsOurGuard(config, handler.type, handler.method),
  );
  return new Set([
    ...neverBinding(routes.map(({ limits }) => limits)),
    ...routes.flatMap(({ limits }) => neverAdmitting(limits)),
    ...undecided.map(
      ({ handler }) =>
        `${handler.name} has limits, but no guard decides them. Remove registerGuard: false, or add @UseGuards(RateLimitGuard).`,
    ),
    ...unguarded(plans),
    ...shadowed(config, registered),
  ]);
}
