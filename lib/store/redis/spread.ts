import { type Charge, type Decision, denies, uncharged } from '../../core/decision.js';
import type { Charges, Decided, Mode } from './messages.js';

/** Decides the charges of one identity. */
export type DecideOne = (charges: Charges, mode: Mode) => Promise<Decided>;

/** The charges of one identity, and their places in the request. */
interface Part {
  readonly charges: Charge[];
  readonly places: number[];
}

function partsOf(charges: Charges): readonly Part[] {
  const parts = new Map<string, Part>();
  for (const [place, charge] of charges.entries()) {
    const part = parts.get(charge.identity) ?? { charges: [], places: [] };
    parts.set(charge.identity, part);
    part.charges.push(charge);
    part.places.push(place);
  }
  return [...parts.values()];
}

/** Whether all charges of a request are of one identity, and so in one slot. */
export const isOfOneIdentity = (charges: Charges): boolean =>
  charges.every(({ identity }) => identity === charges[0]?.identity);

/** Puts the decisions on parts back into the order of the request. */
function inOrder(parts: readonly Part[], decided: readonly Decided[]): Decision[] {
  const decisions: Decision[] = [];
  for (const [at, { places }] of parts.entries()) {
    for (const [i, place] of places.entries()) decisions[place] = decided[at]?.[i] as Decision;
  }
  return decisions;
}

/** Looks at the charges of several identities, each in its own slot. */
export async function peekApart(charges: Charges, decideOne: DecideOne): Promise<Decided> {
  const parts = partsOf(charges);
  return inOrder(parts, await Promise.all(parts.map((part) => decideOne(part.charges, 'peek'))));
}

/**
 * Decides a request with several identities on a Cluster, where no single call reaches all slots: each slot
 * decides its part, and gives back what it took when another one denies. Meanwhile others may find less
 * room than there is, but never more.
 */
export async function consumeApart(
  charges: Charges,
  decideOne: DecideOne,
  giveBack: (decisions: Decided) => Promise<void>,
): Promise<Decided> {
  const parts = partsOf(charges);
  // A denial may be due to a charge that is about to be given back, so none starts a block as yet.
  const asked = await Promise.allSettled(
    parts.map((part) =>
      decideOne(
        part.charges.map((charge) => ({ ...charge, blocks: [] })),
        'consume',
      ),
    ),
  );
  const taken = asked.flatMap((part) => (part.status === 'fulfilled' ? part.value : []));
  const failure = asked.find((part) => part.status === 'rejected');
  if (failure === undefined && !taken.some(denies)) {
    return withCharges(inOrder(parts, asked.map(answerOf)), charges);
  }
  // What cannot be given back now ends with its bucket.
  await giveBack(taken.filter(({ receipt }) => receipt !== null)).catch(() => undefined);
  if (failure !== undefined) throw failure.reason;
  const answers = asked.map(answerOf);
  // Where two parts deny, either may do so for a charge in passing of a request that the other denies.
  const mayBlock = answers.filter((answer) => answer.some(denies)).length === 1;
  const decided = mayBlock
    ? await Promise.all(parts.map((part, at) => blocked(part.charges, answers[at] as Decided, decideOne)))
    : answers;
  return withCharges(inOrder(parts, decided), charges).map(uncharged);
}

const answerOf = (part: PromiseSettledResult<Decided>): Decided =>
  (part as PromiseFulfilledResult<Decided>).value;

const withCharges = (decisions: readonly Decision[], charges: Charges): Decision[] =>
  decisions.map((decision, at) => ({ ...decision, charge: charges[at] as Charge }));

/** Starts the blocks of a part whose denials were not passing; those that were remain denials. */
async function blocked(charges: Charges, decided: Decided, decideOne: DecideOne): Promise<Decided> {
  const starts = decided.some(
    (decision, at) => denies(decision) && (charges[at] as Charge).blocks.length > 0,
  );
  if (!starts) return decided;
  const again = await decideOne(charges, 'block');
  return again.some(denies) ? again : decided;
}
