import type { Type } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { guardsOn } from './metadata.js';
import { GUARD_BRAND } from './tokens.js';

/** What a guard of this library is for: deciding, or finishing once all other guards have run. */
export type GuardRole = 'deciding' | 'finishing';

function roleOf(guard: unknown): GuardRole | undefined {
  const target: unknown = typeof guard === 'function' ? guard.prototype : guard;
  return typeof target === 'object' && target !== null && GUARD_BRAND in target
    ? (target[GUARD_BRAND] as GuardRole)
    : undefined;
}

/** The guards of a call in the order that Nest runs them: global ones, the class's, the method's. */
const guardsOf = (config: ApplicationConfig, type: Type, method: object): readonly unknown[] => [
  ...config.getGlobalGuards(),
  ...config.getGlobalRequestGuards().map((wrapper) => wrapper.metatype),
  ...guardsOn(type),
  ...guardsOn(method),
];

/** Whether a guard of somebody else runs behind ours, and so may set the user after it. */
export function runsGuardsBehind(config: ApplicationConfig, type: Type, method: object): boolean {
  const roles = guardsOf(config, type, method).map(roleOf);
  const first = roles.indexOf('deciding');
  return first >= 0 && roles.indexOf(undefined, first) >= 0;
}

/** The global guards that decide limits. */
export const decidingGuards = (config: ApplicationConfig): readonly object[] =>
  config.getGlobalGuards().filter((guard) => roleOf(guard) === 'deciding');

/** Whether anything decides the limits of a method. */
export const runsOurGuard = (config: ApplicationConfig, type: Type, method: object): boolean =>
  guardsOf(config, type, method).some((guard) => roleOf(guard) === 'deciding');
