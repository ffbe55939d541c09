import type { Outcome } from '../core/decision.js';
import { andThen, attempt, type Later, rescued } from '../core/later.js';
import { addressIdentity } from '../key/key.js';
import type { Identify } from '../plan/decide.js';
import type { Limit } from '../plan/limit.js';
import { reportFor } from '../plan/report.js';
import type { RateLimitContext } from './context.js';
import type { Runtime } from './runtime.js';

/** How a guard decides, whatever a subclass of it does: none of it throws but `deny`. */
export interface GuardHooks {
  readonly identify: Identify<RateLimitContext>;
  readonly shouldSkip: (context: RateLimitContext) => Later<boolean>;
  readonly deny: (context: RateLimitContext, outcome: Outcome) => never;
}

/** The methods of a guard; null for those that no subclass has overridden. */
export interface OwnWays {
  readonly identity: Identify<RateLimitContext> | null;
  readonly shouldSkip: GuardHooks['shouldSkip'] | null;
  readonly deny: GuardHooks['deny'];
}

const byKey: Identify<RateLimitContext> = (context, limit) => limit.identify(context);

/** The identities of a subclass; where it fails or finds none, the address is charged and that is reported. */
function checked(identity: Identify<RateLimitContext>, runtime: Runtime): Identify<RateLimitContext> {
  const toAddress = (
    context: RateLimitContext,
    { place }: Limit<RateLimitContext>,
    detail: unknown,
  ): string => {
    const heard = reportFor(context, runtime.report);
    heard(place, `The guard's identity() gave none, so the caller's address is charged.`, detail);
    return addressIdentity(context, (what) => heard(place, what));
  };
  return (context, limit) =>
    attempt(
      () =>
        andThen(identity(context, limit), (found) => {
          if (found === null) return null;
          return typeof found === 'string' && found !== ''
            ? runtime.written(found)
            : toAddress(context, limit, found);
        }),
      (error) => toAddress(context, limit, error),
    );
}

/** The hooks of a guard: what the library does itself has been made safe already. */
export function guardHooks({ identity, shouldSkip, deny }: OwnWays, runtime: Runtime): GuardHooks {
  const notSkipped = (error: unknown, context: RateLimitContext): boolean => {
    reportFor(context, runtime.report)(
      'guard',
      `The guard's shouldSkip() failed, so the call is not skipped.`,
      error,
    );
    return false;
  };
  return {
    identify: identity === null ? byKey : checked(identity, runtime),
    shouldSkip: shouldSkip === null ? (context) => runtime.exempt(context) : rescued(shouldSkip, notSkipped),
    deny,
  };
}
