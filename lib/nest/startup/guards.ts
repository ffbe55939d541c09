import type { Type } from '@nestjs/common';
import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import type { GuardOverrides } from '../../plan/plan.js';
import { boundGuards, type GuardRole, guardRole } from '../handlers/metadata.js';

/** The guards of a call in the order that Nest runs them: global ones, the class's, the method's. */
const guardsOf = (config: ApplicationConfig, type: Type, method: object): readonly unknown[] => [
  ...globalGuards(config),
  ...boundGuards(type),
  ...boundGuards(method),
];

const globalGuards = (config: ApplicationConfig): readonly unknown[] => [
  ...config.getGlobalGuards(),
  ...config.getGlobalRequestGuards().map((wrapper) => wrapper.metatype),
];

const LIMITING_ROLES: readonly (GuardRole | undefined)[] = ['limiting', 'message'];

/** Whether a guard of somebody else runs behind ours, and so may set the user after it. */
export function hasFollowingGuard(config: ApplicationConfig, type: Type, method: object): boolean {
  const roles = guardsOf(config, type, method).map(guardRole);
  const first = roles.findIndex((role) => LIMITING_ROLES.includes(role));
  return first >= 0 && roles.indexOf(undefined, first) >= 0;
}

/** The classes of the guards that decide the limits of a method, in the order in which they are asked. */
export const limitingGuards = (config: ApplicationConfig, type: Type, method: object): readonly unknown[] =>
  guardsOf(config, type, method)
    .filter((guard) => guardRole(guard) === 'limiting')
    .map((guard) => (typeof guard === 'function' ? guard : (guard as object).constructor));

/** What the guards of an application, subclasses of `base`, decide beside the limits. */
export function guardOverrides(modules: ModulesContainer, base: Type): GuardOverrides {
  const overridden = new Set<string>();
  for (const { providers, injectables } of modules.values()) {
    for (const { metatype } of [...providers.values(), ...injectables.values()]) {
      if (typeof metatype !== 'function' || guardRole(metatype) !== 'limiting') continue;
      for (const name of ['identity', 'shouldSkip']) {
        if (metatype.prototype[name] !== base.prototype[name]) overridden.add(name);
      }
    }
  }
  return { exempts: overridden.has('shouldSkip'), identifies: overridden.has('identity') };
}
