import {
  type CountBatch,
  emptyHour,
  emptyTally,
  HLL_REGISTERS,
  type HourCounts,
  MAX_LISTED,
  type SharedCounters,
  type SharedCounts,
  type Tally,
} from '../shared-counters.js';
import type { Commands } from './commands.js';
import type { KeyFormat } from './key-format.js';

/** What the characters of registers begin at, so that they print: see the `count` script. */
const FIRST_CHAR = 48;

/** The registers that are set, as the `count` script reads them. */
function registersText(registers: Uint8Array): string {
  let text = '';
  for (const [index, rank] of registers.entries()) {
    if (rank === 0) continue;
    text += String.fromCharCode(FIRST_CHAR + (index >> 6), FIRST_CHAR + (index & 63), FIRST_CHAR + rank);
  }
  return text;
}

function* tallyTexts(tallies: ReadonlyMap<string, Tally>): Iterable<string | number> {
  yield tallies.size;
  for (const [name, { allowed, denied, shadowDenied, degraded }] of tallies) {
    yield name;
    yield `${allowed} ${denied} ${shadowDenied} ${degraded}`;
  }
}

function* listTexts({ deniedClients, users }: HourCounts): Iterable<string | number> {
  yield deniedClients.size;
  for (const entry of deniedClients) yield* entry;
  yield users.size;
  for (const [user, { total, denied }] of users) yield* [user, total, denied];
}

/** Names and numbers in turn, as servers write hashes and lists. */
function* pairsOf(reply: unknown): Iterable<[name: string, value: number]> {
  const flat = reply as readonly unknown[];
  // A client may be made to read numbers as text.
  for (let at = 0; at + 1 < flat.length; at += 2) yield [String(flat[at]), Number(flat[at + 1])];
}

const MEASURES: Readonly<Record<string, keyof Tally>> = {
  a: 'allowed',
  d: 'denied',
  s: 'shadowDenied',
  g: 'degraded',
};

/** Reads the hash of counts into tallies; gives the last batch of a writer that is in them. */
function readTallies(reply: unknown, into: HourCounts, writer: string): number {
  let applied = 0;
  for (const [field, count] of pairsOf(reply)) {
    if (field.startsWith('w:')) {
      if (field === `w:${writer}`) applied = count;
      continue;
    }
    const tallies = field.startsWith('r') ? into.routes : into.limits;
    const measure = MEASURES[field.charAt(1)];
    if (measure === undefined) continue;
    const name = field.slice(3);
    const tally = tallies.get(name) ?? emptyTally();
    tallies.set(name, tally);
    tally[measure] = count;
  }
  return applied;
}

/** Counts that all processes with the same prefix share, in five keys an hour, which are in one slot of a Cluster. */
export class RedisCounters implements SharedCounters {
  constructor(
    readonly run: Commands['run'],
    readonly keyOf: KeyFormat,
  ) {}

  async add({ writer, sequence, counts }: CountBatch, keepMs: number): Promise<void> {
    await this.run('count', this.#keys(counts.hour), [
      writer,
      sequence,
      keepMs,
      MAX_LISTED,
      registersText(counts.clients),
      ...tallyTexts(counts.routes),
      ...tallyTexts(counts.limits),
      ...listTexts(counts),
    ]);
  }

  async read(hour: number, writer: string): Promise<SharedCounts> {
    const reply = (await this.run('counted', this.#keys(hour), [])) as unknown[];
    const counts = emptyHour(hour);
    const applied = readTallies(reply[0], counts, writer);
    const registers = String(reply[1]);
    for (let at = 0; at < Math.min(HLL_REGISTERS, registers.length); at++) {
      counts.clients[at] = registers.charCodeAt(at);
    }
    for (const [client, denied] of pairsOf(reply[2])) counts.deniedClients.set(client, denied);
    for (const [user, total] of pairsOf(reply[3])) counts.users.set(user, { total, denied: 0 });
    for (const [user, denied] of pairsOf(reply[4])) {
      const tally = counts.users.get(user);
      if (tally !== undefined) tally.denied = denied;
    }
    return { counts, applied };
  }

  /** No identity is written with this mark, so that none of them has these keys. */
  #keys(hour: number): readonly string[] {
    const key = this.keyOf(`stats~${hour}`);
    return ['counts', 'clients', 'denied', 'users', 'denials'].map((part) => `${key}:${part}`);
  }
}
