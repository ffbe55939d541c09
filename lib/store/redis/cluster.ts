import { type Charge, type Decision, isDenial, withoutCharge } from '../../core/decision.js';
import type { Charges, DecidedRequest, Decisions, Mode } from './protocol.js';

/** Decides the charges of one identity. */
export type DecideGroup = (charges: Charges, mode: Mode) => Promise<DecidedRequest>;

/** The charges of one identity, and their indexes in the request. */
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

/** Checks whether all charges of a request are of one identity, and thus in one slot. */
export const hasOneIdentity = (charges: Charges): boolean =>
  charges.every(({ identity }) => identity === charges[0]?.identity);

/** Puts the decisions on groups into the order of the request. */
function restoreOrder(groups: readonly IdentityGroup[], decided: readonly DecidedRequest[]): Decision[] {
  const decisions: Decision[] = [];
  for (const [group, { indexes }] of groups.entries()) {
    for (const [i, index] of indexes.entries()) decisions[index] = decided[group]?.decisions[i] as Decision;
  }
  return decisions;
}

/** Decides the charges of several identities, each in its own slot; writes nothing. */
export async function peekAcrossSlots(charges: Charges, decideGroup: DecideGroup): Promise<DecidedRequest> {
  const groups = groupByIdentity(charges);
  const decided = await Promise.all(groups.map((group) => decideGroup(group.charges, 'peek')));
  return { decisions: restoreOrder(groups, decided), steadyMs: 0 };
}

/**
 * Decides a request with several identities on a Cluster, where no single call reaches all slots: each slot decides
 * its group, and refunds it if another group is denied. Meanwhile other requests may find less room than there is,
 * but never more.
 */
export async function consumeAcrossSlots(
  charges: Charges,
  decideGroup: DecideGroup,
  refund: (decisions: Decisions) => Promise<void>,
): Promise<DecidedRequest> {
  const groups = groupByIdentity(charges);
  // A denial may be due to a charge that is about to be refunded, so none starts a block yet.
  const settled = await Promise.allSettled(
    groups.map((group) =>
      decideGroup(
        group.charges.map((charge) => ({ ...charge, blockDurationsMs: [] })),
        'consume',
      ),
    ),
  );
  const taken = settled.flatMap((group) => (group.status === 'fulfilled' ? group.value.decisions : []));
  const failure = settled.find((group) => group.status === 'rejected');
  if (failure === undefined && !taken.some(isDenial)) {
    return { decisions: withCharges(restoreOrder(groups, settled.map(toDecided)), charges), steadyMs: 0 };
  }
  // A charge that cannot be refunded now ends with its bucket.
  await refund(taken.filter(({ receipt }) => receipt !== null)).catch(() => undefined);
  if (failure !== undefined) throw failure.reason;
  const replies = settled.map(toDecided);
  // If two groups deny, each may do so because of a passing charge of a request that the other one denies.
  const mayBlock = replies.filter(({ decisions }) => decisions.some(isDenial)).length === 1;
  const decided = mayBlock
    ? await Promise.all(
        groups.map((group, i) => startBlocks(group.charges, replies[i] as DecidedRequest, decideGroup)),
      )
    : replies;
  const denied = decided.filter(({ decisions }) => decisions.some(isDenial));
  return {
    decisions: withCharges(restoreOrder(groups, decided), charges).map(withoutCharge),
    steadyMs: Math.min(...denied.map(({ steadyMs }) => steadyMs)),
  };
}

const toDecided = (group: PromiseSettledResult<DecidedRequest>): DecidedRequest =>
  (group as PromiseFulfilledResult<DecidedRequest>).value;

const withCharges = (decisions: readonly Decision[], charges: Charges): Decision[] =>
  decisions.map((decision, i) => ({ ...decision, charge: charges[i] as Charge }));

/** Starts the blocks of a group's denials. If they were due to passing charges only, they remain denials. */
async function startBlocks(
  charges: Charges,
  decided: DecidedRequest,
  decideGroup: DecideGroup,
): Promise<DecidedRequest> {
  const starts = decided.decisions.some(
    (decision, i) => isDenial(decision) && (charges[i] as Charge).blockDurationsMs.length > 0,
  );
  if (!starts) return decided;
  const again = await decideGroup(charges, 'block');
  return again.decisions.some(isDenial) ? again : decided;
}
