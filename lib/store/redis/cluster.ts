// The package brings no types.
/// <reference path="./cluster-key-slot.d.ts" />
import slotOf from 'cluster-key-slot';
import { type Charge, type Decision, isDenial, withoutCharge } from '../../core/decision.js';
import type { RedisClient } from './ioredis.js';
import type { Charges, Decisions, Mode } from './protocol.js';

/** Decides the charges of one identity. */
export type DecideGroup = (charges: Charges, mode: Mode) => Promise<Decisions>;

/** The charges of one identity, and their places in the request. */
interface IdentityGroup {
  readonly charges: Charge[];
  readonly indexes: number[];
}

function groupByIdentity(charges: Charges): readonly IdentityGroup[] {
  const groups = new Map<string, IdentityGroup>();
  for (const [index, charge] of charges.entries()) {
    const group = groups.get(charge.identity) ?? { charges: [], indexes: [] };
    groups.set(charge.identity, group);
    group.charges.push(charge);
    group.indexes.push(index);
  }
  return [...groups.values()];
}

/** Whether all charges of a request are of one identity, and so in one slot. */
export const hasOneIdentity = (charges: Charges): boolean =>
  charges.every(({ identity }) => identity === charges[0]?.identity);

/** Puts the decisions on parts back into the order of the request. */
function restoreOrder(groups: readonly IdentityGroup[], decided: readonly Decisions[]): Decision[] {
  const decisions: Decision[] = [];
  for (const [at, { indexes }] of groups.entries()) {
    for (const [i, index] of indexes.entries()) decisions[index] = decided[at]?.[i] as Decision;
  }
  return decisions;
}

/** Looks at the charges of several identities, each in its own slot. */
export async function peekAcrossSlots(charges: Charges, decideGroup: DecideGroup): Promise<Decisions> {
  const groups = groupByIdentity(charges);
  return restoreOrder(groups, await Promise.all(groups.map((group) => decideGroup(group.charges, 'peek'))));
}

/**
 * Decides a request with several identities on a Cluster, where no single call reaches all slots: each slot
 * decides its part, and gives back what it took when another one denies. Meanwhile others may find less
 * room than there is, but never more.
 */
export async function consumeAcrossSlots(
  charges: Charges,
  decideGroup: DecideGroup,
  refund: (decisions: Decisions) => Promise<void>,
): Promise<Decisions> {
  const groups = groupByIdentity(charges);
  // A denial may be due to a charge that is about to be given back, so none starts a block as yet.
  const asked = await Promise.allSettled(
    groups.map((group) =>
      decideGroup(
        group.charges.map((charge) => ({ ...charge, blockDurationsMs: [] })),
        'consume',
      ),
    ),
  );
  const taken = asked.flatMap((group) => (group.status === 'fulfilled' ? group.value : []));
  const failure = asked.find((group) => group.status === 'rejected');
  if (failure === undefined && !taken.some(isDenial)) {
    return withCharges(restoreOrder(groups, asked.map(answerOf)), charges);
  }
  // What cannot be given back now ends with its bucket.
  await refund(taken.filter(({ receipt }) => receipt !== null)).catch(() => undefined);
  if (failure !== undefined) throw failure.reason;
  const answers = asked.map(answerOf);
  // Where two parts deny, either may do so for a charge in passing of a request that the other denies.
  const mayBlock = answers.filter((answer) => answer.some(isDenial)).length === 1;
  const decided = mayBlock
    ? await Promise.all(
        groups.map((group, at) => blocked(group.charges, answers[at] as Decisions, decideGroup)),
      )
    : answers;
  return withCharges(restoreOrder(groups, decided), charges).map(withoutCharge);
}

const answerOf = (group: PromiseSettledResult<Decisions>): Decisions =>
  (group as PromiseFulfilledResult<Decisions>).value;

const withCharges = (decisions: readonly Decision[], charges: Charges): Decision[] =>
  decisions.map((decision, at) => ({ ...decision, charge: charges[at] as Charge }));

/** Starts the blocks of a part whose denials were not passing; those that were remain denials. */
async function blocked(charges: Charges, decided: Decisions, decideGroup: DecideGroup): Promise<Decisions> {
  const starts = decided.some(
    (decision, at) => isDenial(decision) && (charges[at] as Charge).blockDurationsMs.length > 0,
  );
  if (!starts) return decided;
  const again = await decideGroup(charges, 'block');
  return again.some(isDenial) ? again : decided;
}

// The package brings no types.
/// <reference path="./cluster-key-slot.d.ts" />

/** The node of a Cluster that leads a key's slot, as `host:port`; empty while nobody has told. */
export const masterOfSlot = ({ slots }: RedisClient, key: string): string => slots?.[slotOf(key)]?.[0] ?? '';
