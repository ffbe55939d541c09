import { type Charge, type Outcome, outcomeOf, SKIPPED } from '../core/decision.js';
import type { Later, Store, StoreReply } from '../store/store.js';
import { andThen, isPromise } from './later.js';
import type { Limit } from './limit.js';

/** Finds who is charged under a limit, or null to skip it. */
export type Identify<Context> = (context: Context, limit: Limit<Context>) => Later<string | null>;

const toOutcome = (reply: StoreReply): Outcome => outcomeOf(reply.decisions, reply.degraded);

function ask(charges: readonly Charge[], store: Store): Later<Outcome> {
  return charges.length === 0 ? SKIPPED : andThen(store.consume(charges), toOutcome);
}

function chargeOf<Context>(
  limit: Limit<Context>,
  context: Context,
  identify: Identify<Context>,
): Later<Charge | null> {
  const identity = identify(context, limit);
  if (isPromise(identity)) {
    return identity.then((found) => (found === null ? null : limit.charge(context, found)));
  }
  return identity === null ? null : limit.charge(context, identity);
}

async function askLater(charges: readonly Later<Charge | null>[], store: Store): Promise<Outcome> {
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
  identify: Identify<Context>,
): Later<Outcome> {
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

/** A context that notes whether it was asked for a user in vain. */
interface NotesAsking<Context> {
  readonly askedInVain: boolean;
  fork(): Context;
}

/** What could be decided of some limits, and those that asked for a user who is not known yet. */
export interface PartlyDecided<Context> {
  readonly outcome: Outcome;
  readonly left: readonly Limit<Context>[];
}

/** Decides `limits` as {@link decide} does, but for those whose functions ask for the user in vain. */
export async function decideWithoutUser<Context extends NotesAsking<Context>>(
  limits: readonly Limit<Context>[],
  context: Context,
  store: Store,
  identify: Identify<Context>,
): Promise<PartlyDecided<Context>> {
  const charges: Charge[] = [];
  const left: Limit<Context>[] = [];
  for (const limit of limits) {
    const own = limit.usesFunctions ? context.fork() : context;
    const charge = await chargeOf(limit, own, identify);
    if (limit.usesFunctions && own.askedInVain) left.push(limit);
    else if (charge !== null) charges.push(charge);
  }
  return { outcome: await ask(charges, store), left };
}
