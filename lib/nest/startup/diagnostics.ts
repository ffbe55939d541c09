import type { Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { isValueLocation } from '../../identity/key-forms.js';
import type { Limit } from '../../plan/limit.js';
import type { GuardOverrides, Plan } from '../../plan/plan.js';
import { impossibleLimits, redundantLimits } from '../../plan/redundancy.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { Handler } from './find-handlers.js';
import { limitingGuards } from './guards.js';

/** A handler and its limits. */
export interface CompiledRoute {
  readonly handler: Handler;
  readonly limits: readonly Limit<RateLimitContext>[];
}

/** What is counted without anybody's word for it: the address, or every request. */
const UNFORGEABLE = /^(?:ip|global)(?:\s*[|+]\s*(?:ip|global))*$/;

/** Whether a limit holds back a flood of requests that guards refuse. */
const holdsBackFloods = ({ key, rate, cost, shadow, usesFunctions }: Limit<RateLimitContext>): boolean =>
  !shadow &&
  !usesFunctions &&
  cost !== 0 &&
  typeof key === 'string' &&
  UNFORGEABLE.test(key) &&
  (rate.kind !== 'fixed' || rate.policy !== null);

/** Whether a client can make up who is charged: one of the key's alternatives has nothing but its values. */
const isForgeable = ({ key }: Limit<RateLimitContext>): boolean =>
  typeof key === 'string' &&
  key
    .split('|')
    .some((words) => words.split('+').every((form) => isValueLocation(form.trim().split(':')[0] ?? '')));

/** Routes on which a client that invents values is limited by nothing. */
const forgeableRoutes = ({ handler, limits }: CompiledRoute): readonly string[] =>
  limits.some((limit) => !limit.shadow) && limits.every((limit) => limit.shadow || isForgeable(limit))
    ? [
        `${handler.name}: every limit counts values that a client invents, so whoever changes them is not limited. Add a limit with key: 'ip'.`,
      ]
    : [];

/** Routes on which guards behind ours refuse callers before any limit has counted them. */
function unprotectedRoutes(plans: readonly (Plan<RateLimitContext> | null)[]): readonly string[] {
  const routes = plans.filter(
    (plan) =>
      plan !== null && (plan.afterGuards?.length ?? 0) > 0 && !plan.beforeGuards.some(holdsBackFloods),
  );
  const [first] = routes;
  if (first === undefined || first === null) return [];
  const others = routes.length === 1 ? '' : ` and ${routes.length - 1} others`;
  return [
    `${first.route}${others}: no limit by address is decided ahead of the guards, so a flood of requests that they refuse, such as guessed tokens, is not limited. Add a limit with key: 'ip'.`,
  ];
}

interface Guarded {
  readonly name: string;
  readonly guards: readonly unknown[];
}

/** Guards that are never asked, because the registered one has decided already. */
const ineffectiveGuards = ({ guards: [first, ...others] }: Guarded): readonly string[] =>
  others
    .filter((guard) => guard !== first)
    .map(
      (guard) =>
        `${(guard as Type).name} never decides, since the registered guard goes first. Set registerGuard: false for RateLimitModule.`,
    );

const unguardedRoutes = ({ name, guards }: Guarded): readonly string[] =>
  guards.length > 0
    ? []
    : [
        `${name} has limits, but no guard decides them. Remove registerGuard: false, or add @UseGuards(RateLimitGuard).`,
      ];

/** What is worth a word at start-up, though it may be meant. */
export function warnings(
  routes: readonly CompiledRoute[],
  plans: readonly (Plan<RateLimitContext> | null)[],
  config: ApplicationConfig,
  registered: boolean,
  { identifies }: GuardOverrides,
): ReadonlySet<string> {
  const limited = routes.filter(({ limits }) => limits.length > 0);
  const guarded = limited.map(({ handler: { name, type, method } }) => ({
    name,
    guards: limitingGuards(config, type, method),
  }));
  return new Set([
    // A guard that says who is charged makes of limits with the same key what it likes.
    ...(identifies ? [] : redundantLimits(routes.map(({ limits }) => limits))),
    ...routes.flatMap(({ limits }) => impossibleLimits(limits)),
    ...routes.flatMap(forgeableRoutes),
    ...guarded.flatMap(registered ? ineffectiveGuards : unguardedRoutes),
    ...unprotectedRoutes(plans),
  ]);
}
