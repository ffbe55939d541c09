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

/** The message that asks for the decisions on several requests, each a list of charges. */
export function consumeMessage(
  requests: readonly Charges[],
  mode: Mode,
  keyOf: KeyOf,
  now: number | '',
): Message {
  const list = new KeyList(keyOf);
  const given: (string | number)[] = [now, mode];
  for (const charges of requests) {
    given.push(charges.length);
    for (const charge of charges) {
      given.push(list.placeOf(charge.identity), charge.policy.tail, chargeText(charge));
    }
  }
  return { keys: list.keys, given };
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

/** Reads the reply to a {@link consumeMessage}: for each request its decisions, or what went wrong with it. */
export function decisionsIn(
  reply: unknown,
  requests: readonly Charges[],
): readonly (Decided | RedisReplyError)[] {
  const parts = reply as unknown[];
  let at = 0;
  // A client may be made to read numbers as text.
  const next = () => Number(parts[at++]);
  const atMs = next();
  return requests.map((charges) => {
    if (next() !== 0) return new RedisReplyError(String(parts[at - 1]));
    return charges.map((charge) => {
      const used = next();
      const resetMs = next();
      const waitMs = next();
      const blockedMs = next();
      const birth = next();
      return decisionOf(charge, {
        used,
        resetMs,
        waitMs: waitMs < 0 ? Number.POSITIVE_INFINITY : waitMs,
        blockedMs: Math.abs(blockedMs),
        startsBlock: blockedMs < 0,
        atMs,
        receipt: birth === 0 ? null : birth,
      });
    });
  });
}
