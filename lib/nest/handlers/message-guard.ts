import { type CanActivate, type ExecutionContext, Logger, type Type } from '@nestjs/common';
import { type GuardRole, runningGuardsOf } from './metadata.js';
import { GUARD_BRAND } from './tokens.js';

/**
 * Stands in for the registered guard on handlers that global guards do not reach: messages of gateways on Nest 11, and of
 * microservices that do not inherit the application's configuration. Where global guards do reach them, the call is
 * marked already and nothing is decided twice.
 *
 * It is bound to classes, which outlive an application, so it looks up the guard of the running one.
 */
export const messageGuard: CanActivate & { readonly [GUARD_BRAND]: GuardRole } = {
  [GUARD_BRAND]: 'message',
  canActivate(execution: ExecutionContext) {
    return runningGuardsOf<CanActivate>(execution.getClass()).at(-1)?.canActivate(execution) ?? true;
  },
};

/**
 * Registers the guard of an application for the message guard to find.
 *
 * @returns A function that unregisters it.
 */
export function registerMessageGuard(types: ReadonlySet<Type>, guard: CanActivate): () => void {
  for (const type of types) {
    const guards = runningGuardsOf<CanActivate>(type);
    if (guards.length > 0) {
      new Logger('RateLimit').warn(
        `${type.name} serves two running applications, and where global guards do not reach, the limits of the later one apply.`,
      );
    }
    guards.push(guard);
  }
  return () => {
    for (const type of types) {
      const guards = runningGuardsOf<CanActivate>(type);
      const at = guards.lastIndexOf(guard);
      if (at >= 0) guards.splice(at, 1);
    }
  };
}
