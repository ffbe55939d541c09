import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { GuardRole } from './metadata.js';
import { CALL, GUARD_BRAND } from './tokens.js';

/** What is left of a call to be decided once all other guards have run. */
export interface Unfinished {
  finish(): true | Promise<true>;
}

/** An `ExecutionContext` as our guards mark it. */
export interface Marked {
  [CALL]?: true | Unfinished;
}

/**
 * Runs behind all other guards of a handler and finishes what our guard has left open, now that the
 * user is known. An interceptor could do the same, but a third of a small application's throughput goes
 * with the first interceptor, and gateways do not take global ones.
 *
 * It knows nothing of an application, so that it may stay bound to a handler that several share.
 */
export const finishingGuard: CanActivate & { readonly [GUARD_BRAND]: GuardRole } = {
  [GUARD_BRAND]: 'finishing',
  canActivate(execution: ExecutionContext) {
    const marked = execution as Marked;
    const call = marked[CALL];
    if (call === undefined || call === true) return true;
    marked[CALL] = true;
    return call.finish();
  },
};
