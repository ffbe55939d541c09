import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { GuardRole } from './metadata.js';
import { GUARD_BRAND, REQUEST_CHECK } from './tokens.js';

/** A check that continues after all other guards have run. */
export interface PendingCheck {
  finish(): true | Promise<true>;
}

/** An `ExecutionContext` with the mark of our guards. */
export interface MarkedExecution {
  [REQUEST_CHECK]?: true | PendingCheck;
}

/**
 * Runs after all other guards of a handler, and decides the second phase now that the user is known. An interceptor
 * could do the same, but the first interceptor costs a small application a third of its throughput, and gateways do not
 * run global ones.
 *
 * It holds no state of an application, because several may share the handler that it is bound to.
 */
export const afterGuardsGuard: CanActivate & { readonly [GUARD_BRAND]: GuardRole } = {
  [GUARD_BRAND]: 'after-guards',
  canActivate(execution: ExecutionContext) {
    const marked = execution as MarkedExecution;
    const check = marked[REQUEST_CHECK];
    if (check === undefined || check === true) return true;
    marked[REQUEST_CHECK] = true;
    return check.finish();
  },
};
