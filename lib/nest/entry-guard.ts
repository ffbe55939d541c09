import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import type { GuardRole } from './guards.js';
import { GUARD_BRAND } from './tokens.js';

/** The registered guards of running applications by class, the latest last. */
const guardsByClass = new WeakMap<object, CanActivate[]>();

/**
 * Stands in for the registered guard on handlers that global guards do not reach: messages of gateways
 * on Nest 11, and of microservices that do not inherit the application's configuration. Where global
 * guards do reach them, the call is marked already and nothing is decided twice.
 *
 * It is bound to classes, which outlive an application; hence it finds the guard of the one that runs.
 */
export const entryGuard: CanActivate & { readonly [GUARD_BRAND]: GuardRole } = {
  [GUARD_BRAND]: 'deciding',
  canActivate(execution: ExecutionContext) {
    return guardsByClass.get(execution.getClass())?.at(-1)?.canActivate(execution) ?? true;
  },
};

/**
 * Lets the entry guard find the guard of an application.
 *
 * @returns A function that lets go of it.
 */
export function enter(types: Iterable<Type>, guard: CanActivate): () => void {
  const entered = [...types];
  for (const type of entered) {
    const guards = guardsByClass.get(type) ?? [];
    guards.push(guard);
    guardsByClass.set(type, guards);
  }
  return () => {
    for (const type of entered) {
      const guards = guardsByClass.get(type);
      const at = guards?.lastIndexOf(guard) ?? -1;
      if (at >= 0) guards?.splice(at, 1);
    }
  };
}
