import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { GuardRole } from './metadata.js';
import { GUARD_BRAND, REQUEST_CHECK } from './tokens.js';

/** What is left of a call to be decided once all other guards have run. */
export interface PendingCheck {
  finish(): true | Promise<true>;
}

/** An `ExecutionContext` as our guards mark it. */
export interface MarkedExecution {
  [REQUEST_CHECK]?: true | PendingCheck;
}

/**
 * Runs behind all other guards of a handler and finishes what our guard has left open, now that the
 * user is known. An interceptor could do the same, but a third of a small application's throughput goes
 * with the first interceptor, and gateways do not take global ones.
 *
 * It knows nothing of an application, so that it may stay bound to a handler that several share.
 */
export const afterGuardsGuard: CanActivate & { readonly [GUARD_BRAND]: GuardRole } = {
  [GUARD_BRAND]: 'after-guards',
  canActivate(execution: ExecutionContext) {
    const marked = execution as MarkedExecution;
    const call = marked[REQUEST_CHECK];
    if (call === undefined || call === true) return true;
    marked[REQUEST_CHECK] = true;
    return call.finish();
  },
};
