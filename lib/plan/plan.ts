import type { Limit } from './limit.js';

/** The limits of one (class, handler), compiled once, from outer to inner. */
export interface Plan<Context> {
  /** `Class.method`. */
  readonly route: string;
  /** What the guard decides. */
  readonly beforeGuards: readonly Limit<Context>[];
  /** What is decided once every other guard has run; null when the guard decides everything. */
  readonly afterGuards: readonly Limit<Context>[] | null;
  /** Whether limits at the guard may ask for a user who is known only later. */
  readonly mayAskTooEarly: boolean;
  /** Limits of which it is seen at the end of a call whether it counts; null when there are none. */
  readonly refundable: readonly Limit<Context>[] | null;
  /** Whether some of the limits only report. */
  readonly hasShadows: boolean;
  /** A limit of the route's own that is for signed-in users alone, which without users would never apply. */
  readonly userOnlyLimit: Limit<Context> | null;
}

/** What an application decides of calls beside their limits. */
export interface GuardOverrides {
  /** Whether it may exempt callers. */
  readonly exempts: boolean;
  /** Whether it says who is charged, whatever the keys say. */
  readonly identifies: boolean;
}

/**
 * Puts limits into the stages they are decided in; null when there are none.
 *
 * @param userComesLater Whether guards run behind ours, any of which may set the user.
 * @param ways What else may depend on the user.
 */
export function compilePlan<Context>(
  route: string,
  limits: readonly Limit<Context>[],
  userComesLater: boolean,
  { exempts, identifies }: GuardOverrides,
): Plan<Context> | null {
  if (limits.length === 0) return null;
  const ofUser = limits.filter((limit) => limit.readsUser);
  const twoStages = userComesLater && (ofUser.length > 0 || exempts);
  const refundable = limits.filter((limit) => limit.countWhen !== null);
  const beforeGuards = twoStages ? limits.filter((limit) => !limit.readsUser) : limits;
  return Object.freeze({
    route,
    beforeGuards,
    afterGuards: twoStages ? ofUser : null,
    mayAskTooEarly: userComesLater && beforeGuards.some((limit) => limit.usesFunctions || identifies),
    refundable: refundable.length > 0 ? refundable : null,
    hasShadows: limits.some((limit) => limit.shadow),
    userOnlyLimit: limits.some((limit) => limit.key === 'anon')
      ? null
      : (limits.find((limit) => limit.key === 'user' && !limit.isModuleLimit) ?? null),
  });
}
