import { ALGORITHMS } from '../../core/algorithms/index.js';
import { brand } from '../../core/brand.js';
import { type Charge, type Decision, toDecision } from '../../core/decision.js';
import type { Policy } from '../../core/policy.js';

/** The charges of a request, and the decisions on them. */
export type Charges = readonly Charge[];
export type Decisions = readonly Decision[];

/** Modes of the `consume` script: charge, only decide, or start the blocks of denials. */
export type Mode = 'consume' | 'peek' | 'block';

export const DEFAULT_PREFIX = 'ratelimit';

/** Returns the key of an identity: a hash that holds all of its buckets. */
export type KeyFormat = (identity: string) => string;

/**
 * Creates keys of the form `prefix:{identity}`. With one key for each identity, a Cluster keeps an identity in one
 * slot, moves it to another node as a whole, and removes it as a whole.
 *
 * @param oneSlot True if all identities share a slot.
 */
export const keyFormat = (prefix: string, oneSlot: boolean): KeyFormat =>
  oneSlot ? (identity) => `{${prefix}}:${identity}` : (identity) => `${prefix}:{${identity}}`;

/** Keys and arguments of a script, in the order that its header documents. */
export interface Message {
  readonly keys: readonly string[];
  readonly args: readonly (string | number | Buffer)[];
}

/** The keys of a message, each once, with their indexes from 1. */
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

type Kind = Omit<Charge, 'identity'>;

const RULE_BYTES = 30;
const DURATION_BYTES = 6;

/** Writes a whole number of up to 2^53 in seven bytes, the lowest first. */
function writeLong(bytes: Buffer, value: number, offset: number): number {
  bytes.writeUIntLE(value % 2 ** 32, offset, 4);
  return bytes.writeUIntLE(Math.floor(value / 2 ** 32), offset + 4, 3);
}

/** Encodes the rule of a kind of charge, and its field. */
function encodeKind({ policy, cost, shadow, blockDurationsMs }: Kind): Buffer {
  const field = Buffer.from(policy.bucketKey);
  const blockBytes = DURATION_BYTES * blockDurationsMs.length;
  const bytes = Buffer.alloc(RULE_BYTES + blockBytes + field.length);
  let offset = bytes.write(ALGORITHMS[policy.algorithm].code, 'latin1');
  offset = bytes.writeUIntLE(policy.windowMs, offset, 6);
  for (const value of [policy.limit, policy.capacity, cost]) offset = writeLong(bytes, value, offset);
  offset = bytes.writeUInt8((shadow ? 1 : 0) + (policy.isExact ? 2 : 0), offset);
  offset = bytes.writeUInt8(blockDurationsMs.length, offset);
  for (const durationMs of blockDurationsMs) offset = bytes.writeUIntLE(durationMs, offset, 6);
  field.copy(bytes, offset);
  return bytes;
}

const encodedKinds = new WeakMap<Policy, [Kind, Buffer][]>();
/** A policy has few kinds of charges, unless the application computes the cost of each. */
const MAX_KINDS = 16;

/** Returns what a kind of charge is in a message; throws a `RangeError` for numbers that do not fit. */
export function encodedKind(kind: Kind): Buffer {
  const known = encodedKinds.get(kind.policy) ?? [];
  for (const [other, encoded] of known) if (isOfKind(other, kind)) return encoded;
  const encoded = encodeKind(kind);
  encodedKinds.set(kind.policy, [[kind, encoded], ...known.slice(0, MAX_KINDS - 1)]);
  return encoded;
}

/** The kinds of charges in a message, with their indexes from 1: most charges differ only in their identity. */
class KindTable {
  readonly #kinds: Charge[] = [];
  readonly encoded: Buffer[] = [];

  indexOf(charge: Charge): number {
    for (let index = 0; index < this.#kinds.length; index++) {
      if (isOfKind(this.#kinds[index] as Charge, charge)) return index + 1;
    }
    this.encoded.push(encodedKind(charge));
    return this.#kinds.push(charge);
  }
}

const isOfKind = (a: Kind, b: Kind): boolean =>
  a.policy === b.policy &&
  a.cost === b.cost &&
  a.shadow === b.shadow &&
  a.blockDurationsMs === b.blockDurationsMs;

function isEqualRequest(a: Charges, b: Charges): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const [one, other] = [a[i] as Charge, b[i] as Charge];
    if (one.identity !== other.identity || !isOfKind(one, other)) return false;
  }
  return true;
}

/** Numbers as the script reads them: two characters from `0` on, in base 64. */
const NUMBERS = Array.from({ length: 64 * 64 }, (_, number) =>
  String.fromCharCode(48 + (number >> 6), 48 + (number & 63)),
);

/** Encodes requests, each a list of charges, for the `consume` script. */
export function encodeConsume(
  requests: readonly Charges[],
  mode: Mode,
  keyOf: KeyFormat,
  now: number | '',
): Message {
  const keys = new KeyTable(keyOf);
  const kinds = new KindTable();
  let encoded = '';
  for (let first = 0; first < requests.length; ) {
    const charges = requests[first] as Charges;
    let next = first + 1;
    // Equal requests, which come up with a bucket that everybody charges, are sent once with their number.
    while (next < requests.length && isEqualRequest(charges, requests[next] as Charges)) next++;
    encoded += `${NUMBERS[next - first]}${NUMBERS[charges.length]}`;
    for (const charge of charges) {
      encoded += `${NUMBERS[keys.indexOf(charge.identity)]}${NUMBERS[kinds.indexOf(charge)]}`;
    }
    first = next;
  }
  return { keys: keys.keys, args: [now, mode, encoded, ...kinds.encoded] };
}

/** Encodes charges to give back for the `refund` script. */
export function encodeRefund(decisions: Decisions, keyOf: KeyFormat, now: number | ''): Message {
  const keys = new KeyTable(keyOf);
  const args: (string | number | Buffer)[] = [now];
  for (const { charge, atMs, resetAfterMs, receipt } of decisions) {
    args.push(keys.indexOf(charge.identity), encodedKind(charge), atMs, resetAfterMs, receipt as number);
  }
  return { keys: keys.keys, args };
}

/** The server could not decide one of the requests of a call. */
export class RedisReplyError extends Error {
  override readonly name = 'RedisReplyError';
}

brand(RedisReplyError, 'RedisReplyError');

/** The decisions on a request. */
export interface DecidedRequest {
  readonly decisions: Decisions;
  /** If it is denied, the milliseconds for which only their passing changes the decisions. */
  readonly steadyMs: number;
}

/** Length of a number in a reply. */
const BYTES = 8;

/** Parses the reply of the `consume` script. */
export function parseReply(
  reply: unknown,
  requests: readonly Charges[],
): readonly (DecidedRequest | RedisReplyError)[] {
  const [numbers, ...errors] = Array.isArray(reply) ? (reply as [Buffer, ...Buffer[]]) : [reply as Buffer];
  const atMs = numbers.readDoubleLE(0);
  let offset = BYTES;
  return requests.map((charges) => {
    const status = numbers.readDoubleLE(offset);
    offset += BYTES;
    if (status > 0) return new RedisReplyError(String(errors.shift()));
    const decisions = new Array<Decision>(charges.length);
    for (let i = 0; i < charges.length; i++) {
      decisions[i] = parseDecision(numbers, offset, charges[i] as Charge, atMs);
      offset += 5 * BYTES;
    }
    return { decisions, steadyMs: -status };
  });
}

function parseDecision(numbers: Buffer, offset: number, charge: Charge, atMs: number): Decision {
  const waitMs = numbers.readDoubleLE(offset + 2 * BYTES);
  const blockedMs = numbers.readDoubleLE(offset + 3 * BYTES);
  const generation = numbers.readDoubleLE(offset + 4 * BYTES);
  return toDecision(charge, {
    used: numbers.readDoubleLE(offset),
    resetMs: numbers.readDoubleLE(offset + BYTES),
    waitMs: waitMs < 0 ? Number.POSITIVE_INFINITY : waitMs,
    blockedMs: Math.abs(blockedMs),
    startsBlock: blockedMs < 0,
    atMs,
    receipt: generation === 0 ? null : generation,
  });
}
