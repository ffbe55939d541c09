import { type Awaitable, andThen, attempt, isPromise } from '../core/awaitable.js';
import { type Charge, type Outcome, SKIPPED_OUTCOME, toOutcome } from '../core/decision.js';
import type { Store, StoreReply } from '../store/store.js';
import type { Limit } from './limit.js';

/** Finds who is charged under a limit, or null to skip it. */
export type IdentityResolver<Context> = (context: Context, limit: Limit<Context>) => Awaitable<string | null>;

const replyOutcome = (reply: StoreReply): Outcome => toOutcome(reply.decisions, reply.degraded);

function ask(charges: readonly Charge[], store: Store): Awaitable<Outcome> {
  return charges.length === 0 ? SKIPPED_OUTCOME : andThen(store.consume(charges), replyOutcome);
}

function chargeOf<Context>(
  limit: Limit<Context>,
  context: Context,
  identify: IdentityResolver<Context>,
): Awaitable<Charge | null> {
  if (limit.condition === null) return chargeApplying(limit, context, identify);
  const applies = limit.condition(context);
  if (!isPromise(applies)) return applies ? chargeApplying(limit, context, identify) : null;
  return applies.then((does) => (does ? chargeApplying(limit, context, identify) : null));
}

function chargeApplying<Context>(
  limit: Limit<Context>,
  context: Context,
  identify: IdentityResolver<Context>,
): Awaitable<Charge | null> {
  const identity = identify(context, limit);
  if (isPromise(identity)) {
    return identity.then((found) => (found === null ? null : limit.charge(context, found)));
  }
  return identity === null ? null : limit.charge(context, identity);
}

async function askLater(charges: readonly Awaitable<Charge | null>[], store: Store): Promise<Outcome> {
  const known = await Promise.all(charges);
  return ask(
    known.filter((charge) => charge !== null),
    store,
  );
}

/** Decides `limits` for one request, all together: at once when everything that has to be asked answers at once. */
export function decide<Context>(
  limits: readonly Limit<Context>[],
  context: Context,
  store: Store,
  identify: IdentityResolver<Context>,
): Awaitable<Outcome> {
  const charges: Charge[] = [];
  for (let i = 0; i < limits.length; i++) {
    const charge = chargeOf(limits[i] as Limit<Context>, context, identify);
    if (isPromise(charge)) {
      const rest = limits.slice(i + 1).map(async (limit) => chargeOf(limit, context, identify));
      return askLater([...charges, charge, ...rest], store);
    }
    if (charge !== null) charges.push(charge);
  }
  return ask(charges, store);
}

/** A context that notes what was asked of it. */
interface NotesAsking<Context> {
  /** Whether somebody asked for the user in vain. */
  readonly askedInVain: boolean;
  /** Whether somebody looked at the request itself, where the user may stand later. */
  readonly touchedRequest: boolean;
  /** The same call, nothing asked of it yet, to be asked again once the user is known. */
  early(): Context;
}

/** What could be decided before the user is known, and what could not. */
export interface PartlyDecided<Context> {
  readonly outcome: Outcome;
  /** Limits that asked for the user in vain. */
  readonly left: readonly Limit<Context>[];
  /** Limits that were decided, but looked at the request itself. */
  readonly touchedRequest: readonly Limit<Context>[];
}

/** A charge; undefined for a limit that asked for the user in vain. */
type EarlyCharge = Charge | null | undefined;

interface Early<Context> {
  readonly context: NotesAsking<Context>;
  readonly charge: Awaitable<EarlyCharge>;
}

function chargeEarly<Context extends NotesAsking<Context>>(
  limit: Limit<Context>,
  context: Context,
  identify: IdentityResolver<Context>,
): Early<Context> {
  const own = context.early();
  const unlessInVain = (charge: Charge | null): EarlyCharge => (own.askedInVain ? undefined : charge);
  const charge = attempt<EarlyCharge>(
    () => andThen(chargeOf(limit, own, identify), unlessInVain),
    // What went wrong for want of a user goes right later; else it is heard along with what others reject.
    (error) => (own.askedInVain ? undefined : Promise.reject(error)),
  );
  return { context: own, charge };
}

/** Decides `limits` as {@link decide} does, but for those that ask for the user in vain. */
export function decideWithoutUser<Context extends NotesAsking<Context>>(
  limits: readonly Limit<Context>[],
  context: Context,
  store: Store,
  identify: IdentityResolver<Context>,
): Awaitable<PartlyDecided<Context>> {
  const early = limits.map((limit) => chargeEarly(limit, context, identify));
  const settle = (charges: readonly EarlyCharge[]): Awaitable<PartlyDecided<Context>> => {
    const known: Charge[] = [];
    const left: Limit<Context>[] = [];
    const touchedRequest: Limit<Context>[] = [];
    for (const [at, limit] of limits.entries()) {
      const charge = charges[at];
      if (charge === undefined) left.push(limit);
      else if (early[at]?.context.touchedRequest) touchedRequest.push(limit);
      if (charge) known.push(charge);
    }
    return andThen(ask(known, store), (outcome) => ({ outcome, left, touchedRequest }));
  };
  const charges = early.map(({ charge }) => charge);
  return charges.some(isPromise) ? Promise.all(charges).then(settle) : settle(charges as EarlyCharge[]);
}
