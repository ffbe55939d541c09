import type { Limit } from './limit.js';

/** The limits of one (class, handler), compiled once, from outer to inner. */
export interface Plan<Context> {
  /** `Class.method`. */
  readonly route: string;
  /** What the guard decides. */
  readonly atGuard: readonly Limit<Context>[];
  /** What is decided once every other guard has run; null when the guard decides everything. */
  readonly afterGuards: readonly Limit<Context>[] | null;
  /** Whether the guard decides limits that depend on a user who may be set only later. */
  readonly trustsUser: boolean;
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
  if (userComesLater && (ofUser.length > 0 || exempts)) {
    const atGuard = limits.filter((limit) => !limit.needsUser);
    return Object.freeze({ route, atGuard, afterGuards: ofUser, trustsUser: false });
  }
  return Object.freeze({ route, atGuard: limits, afterGuards: null, trustsUser: ofUser.length > 0 });
}
