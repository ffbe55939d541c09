import { describeValue, type ErrorCollector } from '../core/errors.js';
import type { Limit } from './limit.js';

/** The limits that are decided in one call of the store. */
export interface Phase<Context> {
  readonly limits: readonly Limit<Context>[];
  /** True if no option is a function of the application, so that the phase is decided in one synchronous loop. */
  readonly isStatic: boolean;
  /** True in the last phase, if the application may exempt clients. */
  readonly asksExempt: boolean;
}

/** The limits of one (class, handler), compiled once, from outer to inner. */
export interface Plan<Context> {
  /** `Class.method`. */
  readonly route: string;
  /** The limits that `RateLimitGuard` decides. */
  readonly beforeGuards: Phase<Context>;
  /** The limits that are decided after all other guards; null if there is nothing to decide then. */
  readonly afterGuards: Phase<Context> | null;
  /** The limits with `countWhen`, by name; null for none. */
  readonly refundable: ReadonlyMap<string, Limit<Context>> | null;
  /** True if some of the limits only report. */
  readonly hasShadows: boolean;
  readonly readsUser: boolean;
  /** A limit of the route's own that is only for logged-in users, so that without users it would never apply. */
  readonly userOnlyLimit: Limit<Context> | null;
}

/** Decisions that the application has taken over from the library. */
export interface GuardOverrides {
  /** True if it may exempt clients. */
  readonly exempts: boolean;
  /** True if a guard of its own says who is charged, whatever the keys say. */
  readonly identifies: boolean;
}

/** Reports a limit whose phase the library would have to guess. */
export function requirePhase<Context>(
  { name, phase, callbacks, source }: Limit<Context>,
  followingGuard: string,
  errors: ErrorCollector,
): void {
  if (phase !== undefined || callbacks.length === 0) return;
  const are = callbacks.length === 1 ? 'is a function or class' : 'are functions or classes';
  errors.add(
    'missing-phase',
    source,
    `The ${callbacks.join(' and ')} of the limit ${describeValue(name)} ${are} of the application, and another guard (${followingGuard}) runs after RateLimitGuard, so the user may not be known yet.`,
    `Write phase: 'after-guards' if it reads the user whom a guard sets; write phase: 'before-guards' if it reads only the request, so that requests that a guard rejects are limited too.`,
  );
}

const isLate = <Context>({ phase, readsUser }: Limit<Context>): boolean =>
  phase === undefined ? readsUser : phase === 'after-guards';

function isOnlyFor<Context>(clients: 'users' | 'anonymous', { keyForms }: Limit<Context>): boolean {
  const [form, ...others] = keyForms.flat();
  return others.length === 0 && form?.onlyFor === clients;
}

/**
 * Assigns the limits of a route to the phases that they are decided in; null if there are none.
 *
 * @param hasFollowingGuard False where no other guard runs after ours: then both phases are one.
 * @param exempts True if the application may exempt clients.
 */
export function compilePlan<Context>(
  route: string,
  limits: readonly Limit<Context>[],
  hasFollowingGuard: boolean,
  exempts: boolean,
): Plan<Context> | null {
  if (limits.length === 0) return null;
  const late = hasFollowingGuard ? limits.filter(isLate) : [];
  const hasLate = late.length > 0 || (hasFollowingGuard && exempts);
  const toPhase = (own: readonly Limit<Context>[], asksExempt: boolean): Phase<Context> => ({
    limits: own,
    asksExempt,
    isStatic: !asksExempt && own.every((limit) => limit.isStatic),
  });
  const refundable = limits.filter((limit) => limit.countWhen !== null);
  return Object.freeze({
    route,
    beforeGuards: toPhase(
      limits.filter((limit) => !late.includes(limit)),
      exempts && !hasLate,
    ),
    afterGuards: hasLate ? toPhase(late, exempts) : null,
    refundable: refundable.length > 0 ? new Map(refundable.map((limit) => [limit.name, limit])) : null,
    hasShadows: limits.some((limit) => limit.shadow),
    readsUser: limits.some((limit) => limit.readsUser),
    userOnlyLimit: limits.some((limit) => isOnlyFor('anonymous', limit))
      ? null
      : (limits.find((limit) => isOnlyFor('users', limit) && !limit.isModuleLimit) ?? null),
  });
}
