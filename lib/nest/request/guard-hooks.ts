import { type Awaitable, andThen, attempt, rescued } from '../../core/awaitable.js';
import type { Outcome } from '../../core/decision.js';
import { reportFor } from '../../core/error-reporter.js';
import { addressIdentity } from '../../identity/key.js';
import type { IdentityResolver } from '../../plan/evaluate.js';
import type { Limit } from '../../plan/limit.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { Runtime } from './runtime.js';

/** How a guard decides, whatever a subclass of it does: none of it throws but `deny`. */
export interface GuardHooks {
  readonly identify: IdentityResolver<RateLimitContext>;
  readonly shouldSkip: (context: RateLimitContext) => Awaitable<boolean>;
  readonly deny: (context: RateLimitContext, outcome: Outcome) => never;
}

/** The methods of a guard; null for those that no subclass has overridden. */
export interface OwnWays {
  readonly identity: IdentityResolver<RateLimitContext> | null;
  readonly shouldSkip: GuardHooks['shouldSkip'] | null;
  readonly deny: GuardHooks['deny'];
}

const byKey: IdentityResolver<RateLimitContext> = (context, limit) => limit.identify(context);

/** The identities of a subclass; where it fails or finds none, the address is charged and that is reported. */
function checked(
  identity: IdentityResolver<RateLimitContext>,
  runtime: Runtime,
): IdentityResolver<RateLimitContext> {
  const toAddress = (
    context: RateLimitContext,
    { source }: Limit<RateLimitContext>,
    detail: unknown,
  ): string => {
    const reporter = reportFor(context, runtime.report);
    reporter(source, `The guard's identity() gave none, so the caller's address is charged.`, detail);
    return addressIdentity(context, (message) => reporter(source, message));
  };
  return (context, limit) =>
    attempt(
      () =>
        andThen(identity(context, limit), (found) => {
          if (found === null) return null;
          return typeof found === 'string' && found !== ''
            ? runtime.normalize(found)
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
