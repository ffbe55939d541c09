import { brand } from '../../core/brand.js';
import { type Charge, type Decision, toDecision } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';
import type { KeyFormat } from './key-format.js';

/** What a request asks, and what is answered. */
export type Charges = readonly Charge[];
export type Decisions = readonly Decision[];

/** What a call of the `consume` script is to do: charge, look, or start the blocks of denials. */
export type Mode = 'consume' | 'peek' | 'block';

/** Keys and arguments of a script, in the order that it documents. */
export interface Message {
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

/** Numbers the keys of a message. */
class KeyTable {
  readonly keys: string[] = [];
  readonly #indexes = new Map<string, number>();

  constructor(readonly keyOf: KeyFormat) {}

  indexOf(identity: string): number {
    let index = this.#indexes.get(identity);
    if (index === undefined) {
      index = this.keys.push(this.keyOf(identity));
      this.#indexes.set(identity, index);
    }
    return index;
  }
}

const encodedRules = new WeakMap<Policy, string>();

/** A policy as scripts read it. */
function encodeRule(policy: Policy): string {
  let text = encodedRules.get(policy);
  if (text === undefined) {
    const { algorithm, windowMs, limit, capacity } = policy;
    text = `${algorithm} ${windowMs} ${limit} ${capacity}`;
    encodedRules.set(policy, text);
  }
  return text;
}

/** What a charge asks of its bucket, as the script reads it. */
export const encodeCharge = ({ policy, cost, shadow, blockDurationsMs }: Charge): string =>
  `${encodeRule(policy)} ${cost} ${shadow ? 1 : 0} ${blockDurationsMs.join(',')}`;

/** Numbers the kinds of charges in a message: most of them are alike but for their identity. */
class KindTable {
  readonly #kinds: Charge[] = [];
  readonly texts: string[] = [];

  indexOf(charge: Charge): number {
    for (let at = 0; at < this.#kinds.length; at++) {
      if (isOfKind(this.#kinds[at] as Charge, charge)) return at + 1;
    }
    this.texts.push(charge.policy.bucketKey, encodeCharge(charge));
    return this.#kinds.push(charge);
  }
}

const isOfKind = (a: Charge, b: Charge): boolean =>
  a.policy === b.policy &&
  a.cost === b.cost &&
  a.shadow === b.shadow &&
  a.blockDurationsMs === b.blockDurationsMs;

function isEqualRequest(a: Charges, b: Charges): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) {
    const [one, other] = [a[at] as Charge, b[at] as Charge];
    if (one.identity !== other.identity || !isOfKind(one, other)) return false;
  }
  return true;
}

/** How the script reads numbers: as two characters from `0` on, to the base of 64. */
const NUMBERS = Array.from({ length: 64 * 64 }, (_, number) =>
  String.fromCharCode(48 + (number >> 6), 48 + (number & 63)),
);

/** The message that asks for the decisions on several requests, each a list of charges. */
export function encodeConsume(
  requests: readonly Charges[],
  mode: Mode,
  keyOf: KeyFormat,
  now: number | '',
): Message {
  const list = new KeyTable(keyOf);
  const kinds = new KindTable();
  let asking = '';
  for (let at = 0; at < requests.length; ) {
    const charges = requests[at] as Charges;
    let next = at + 1;
    // Those that ask the same of a bucket that everybody charges.
    while (next < requests.length && isEqualRequest(charges, requests[next] as Charges)) next++;
    asking += `${NUMBERS[next - at]}${NUMBERS[charges.length]}`;
    for (const charge of charges) {
      asking += `${NUMBERS[list.indexOf(charge.identity)]}${NUMBERS[kinds.indexOf(charge)]}`;
    }
    at = next;
  }
  return { keys: list.keys, args: [now, mode, asking, ...kinds.texts] };
}

/** The message that gives charges back. */
export function encodeRefund(decisions: Decisions, keyOf: KeyFormat, now: number | ''): Message {
  const list = new KeyTable(keyOf);
  const args: (string | number)[] = [now];
  for (const { charge, atMs, resetAfterMs, receipt } of decisions) {
    const { policy, identity, cost } = charge;
    args.push(
      list.indexOf(identity),
      policy.bucketKey,
      encodeRule(policy),
      cost,
      atMs,
      resetAfterMs,
      receipt as number,
    );
  }
  return { keys: list.keys, args };
}

/** What a server has said of one request that it could not decide. */
export class RedisReplyError extends Error {
  override readonly name = 'RedisReplyError';
}

brand(RedisReplyError, 'RedisReplyError');

/** A number of a reply takes so many bytes. */
const BYTES = 8;

/** Reads the reply to a {@link encodeConsume}: for each request its decisions, or what went wrong with it. */
export function parseReply(
  reply: unknown,
  requests: readonly Charges[],
): readonly (Decisions | RedisReplyError)[] {
  const [numbers, ...errors] = reply as [Buffer, ...Buffer[]];
  const atMs = numbers.readDoubleLE(0);
  let at = BYTES;
  return requests.map((charges) => {
    const hasFailed = numbers.readDoubleLE(at) !== 0;
    at += BYTES;
    if (hasFailed) return new RedisReplyError(String(errors.shift()));
    const decisions = new Array<Decision>(charges.length);
    for (let i = 0; i < charges.length; i++) {
      decisions[i] = parseDecision(numbers, at, charges[i] as Charge, atMs);
      at += 5 * BYTES;
    }
    return decisions;
  });
}

function parseDecision(numbers: Buffer, at: number, charge: Charge, atMs: number): Decision {
  const waitMs = numbers.readDoubleLE(at + 2 * BYTES);
  const blockedMs = numbers.readDoubleLE(at + 3 * BYTES);
  const generation = numbers.readDoubleLE(at + 4 * BYTES);
  return toDecision(charge, {
    used: numbers.readDoubleLE(at),
    resetMs: numbers.readDoubleLE(at + BYTES),
    waitMs: waitMs < 0 ? Number.POSITIVE_INFINITY : waitMs,
    blockedMs: Math.abs(blockedMs),
    startsBlock: blockedMs < 0,
    atMs,
    receipt: generation === 0 ? null : generation,
  });
}
