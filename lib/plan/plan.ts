import type { Limit } from './limit.js';

/** The limits of one (class, handler), compiled once, from outer to inner. */
export interface Plan<Context> {
  /** `Class.method`. */
  readonly route: string;
  /** What the guard decides. */
  readonly atGuard: readonly Limit<Context>[];
  /** What is decided once every other guard has run; null when the guard decides everything. */
  readonly afterGuards: readonly Limit<Context>[] | null;
  /** Whether functions of limits at the guard may ask for a user who is known only later. */
  readonly mayAskTooEarly: boolean;
  /** Whether some of the limits only report. */
  readonly hasShadows: boolean;
  /** A limit that is for signed-in users alone, which a route without users would never apply. */
  readonly forUsersAlone: Limit<Context> | null;
}

/**
 * Puts limits into the stages they are decided in; null when there are none.
 *
 * @param userComesLater Whether guards run behind ours, any of which may set the user.
 * @param exempts Whether callers may be exempt, which the user decides as well.
 */
export function stagedPlan<Context>(
  route: string,
  limits: readonly Limit<Context>[],
  userComesLater: boolean,
  exempts: boolean,
): Plan<Context> | null {
  if (limits.length === 0) return null;
  const ofUser = limits.filter((limit) => limit.needsUser);
  const twoStages = userComesLater && (ofUser.length > 0 || exempts);
  const atGuard = twoStages ? limits.filter((limit) => !limit.needsUser) : limits;
  return Object.freeze({
    route,
    atGuard,
    afterGuards: twoStages ? ofUser : null,
    mayAskTooEarly: userComesLater && atGuard.some((limit) => limit.usesFunctions),
    hasShadows: limits.some((limit) => limit.shadow),
    forUsersAlone: limits.find((limit) => limit.key === 'user') ?? null,
  });
}
