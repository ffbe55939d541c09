import { brand } from '../../core/brand.js';
import { type Charge, type Decision, decisionOf } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';
import type { KeyOf } from './keys.js';

/** What a request asks, and what is answered. */
export type Charges = readonly Charge[];
export type Decided = readonly Decision[];

/** What a call of the `consume` script is to do: charge, look, or start the blocks of denials. */
export type Mode = 'consume' | 'peek' | 'block';

/** Keys and arguments of a script, in the order that it documents. */
export interface Message {
  readonly keys: readonly string[];
  readonly given: readonly (string | number)[];
}

/** Numbers the keys of a message. */
class KeyList {
  readonly keys: string[] = [];
  readonly #places = new Map<string, number>();

  constructor(readonly keyOf: KeyOf) {}

  placeOf(identity: string): number {
    let place = this.#places.get(identity);
    if (place === undefined) {
      place = this.keys.push(this.keyOf(identity));
      this.#places.set(identity, place);
    }
    return place;
  }
}

const ruleTexts = new WeakMap<Policy, string>();

/** A policy as scripts read it. */
function ruleText(policy: Policy): string {
  let text = ruleTexts.get(policy);
  if (text === undefined) {
    const { algorithm, windowMs, limit, capacity } = policy;
    text = `${algorithm} ${windowMs} ${limit} ${capacity}`;
    ruleTexts.set(policy, text);
  }
  return text;
}

/** What a charge asks of its bucket, as the script reads it. */
export const chargeText = ({ policy, cost, shadow, blocks }: Charge): string =>
  `${ruleText(policy)} ${cost} ${shadow ? 1 : 0} ${blocks.join(',')}`;

/** Numbers the kinds of charges in a message: most of them are alike but for their identity. */
class KindList {
  readonly #kinds: Charge[] = [];
  readonly texts: string[] = [];

  placeOf(charge: Charge): number {
    for (let at = 0; at < this.#kinds.length; at++) {
      if (isOfKind(this.#kinds[at] as Charge, charge)) return at + 1;
    }
    this.texts.push(charge.policy.tail, chargeText(charge));
    return this.#kinds.push(charge);
  }
}

const isOfKind = (a: Charge, b: Charge): boolean =>
  a.policy === b.policy && a.cost === b.cost && a.shadow === b.shadow && a.blocks === b.blocks;

function isSame(a: Charges, b: Charges): boolean {
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
export function consumeMessage(
  requests: readonly Charges[],
  mode: Mode,
  keyOf: KeyOf,
  now: number | '',
): Message {
  const list = new KeyList(keyOf);
  const kinds = new KindList();
  let asking = '';
  for (let at = 0; at < requests.length; ) {
    const charges = requests[at] as Charges;
    let next = at + 1;
    // Those that ask the same of a bucket that everybody charges.
    while (next < requests.length && isSame(charges, requests[next] as Charges)) next++;
    asking += `${NUMBERS[next - at]}${NUMBERS[charges.length]}`;
    for (const charge of charges) {
      asking += `${NUMBERS[list.placeOf(charge.identity)]}${NUMBERS[kinds.placeOf(charge)]}`;
    }
    at = next;
  }
  return { keys: list.keys, given: [now, mode, asking, ...kinds.texts] };
}

/** The message that gives charges back. */
export function refundMessage(decisions: Decided, keyOf: KeyOf, now: number | ''): Message {
  const list = new KeyList(keyOf);
  const given: (string | number)[] = [now];
  for (const { charge, atMs, resetAfterMs, receipt } of decisions) {
    const { policy, identity, cost } = charge;
    given.push(
      list.placeOf(identity),
      policy.tail,
      ruleText(policy),
      cost,
      atMs,
      resetAfterMs,
      receipt as number,
    );
  }
  return { keys: list.keys, given };
}

/** What a server has said of one request that it could not decide. */
export class RedisReplyError extends Error {
  override readonly name = 'RedisReplyError';
}

brand(RedisReplyError, 'RedisReplyError');

/** A number of a reply takes so many bytes. */
const BYTES = 8;

/** Reads the reply to a {@link consumeMessage}: for each request its decisions, or what went wrong with it. */
export function decisionsIn(
  reply: unknown,
  requests: readonly Charges[],
): readonly (Decided | RedisReplyError)[] {
  const [numbers, ...errors] = reply as [Buffer, ...Buffer[]];
  const atMs = numbers.readDoubleLE(0);
  let at = BYTES;
  return requests.map((charges) => {
    const hasFailed = numbers.readDoubleLE(at) !== 0;
    at += BYTES;
    if (hasFailed) return new RedisReplyError(String(errors.shift()));
    const decisions = new Array<Decision>(charges.length);
    for (let i = 0; i < charges.length; i++) {
      decisions[i] = decisionAt(numbers, at, charges[i] as Charge, atMs);
      at += 5 * BYTES;
    }
    return decisions;
  });
}

function decisionAt(numbers: Buffer, at: number, charge: Charge, atMs: number): Decision {
  const waitMs = numbers.readDoubleLE(at + 2 * BYTES);
  const blockedMs = numbers.readDoubleLE(at + 3 * BYTES);
  const birth = numbers.readDoubleLE(at + 4 * BYTES);
  return decisionOf(charge, {
    used: numbers.readDoubleLE(at),
    resetMs: numbers.readDoubleLE(at + BYTES),
    waitMs: waitMs < 0 ? Number.POSITIVE_INFINITY : waitMs,
    blockedMs: Math.abs(blockedMs),
    startsBlock: blockedMs < 0,
    atMs,
    receipt: birth === 0 ? null : birth,
  });
}
