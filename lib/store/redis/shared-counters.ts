import {
  type CountBatch,
  emptyHour,
  emptyTally,
  type HourCounts,
  MAX_LISTED,
  type SharedCounters,
  type SharedCounts,
  type Tally,
} from '../shared-counters.js';
import type { RedisDriver } from './driver.js';
import type { KeyFormat } from './protocol.js';

type Row = readonly (string | number)[];

/** Returns the arguments of a list: its length, and the values of its rows. */
const listArguments = (rows: readonly Row[]): Row => [rows.length, ...rows.flat()];

const tallyRows = (tallies: ReadonlyMap<string, Tally>): readonly Row[] =>
  [...tallies].map(([name, { allowed, denied, shadowDenied, degraded }]) => [
    name,
    `${allowed} ${denied} ${shadowDenied} ${degraded}`,
  ]);

/** Reads a hash or list of names and numbers. */
function* parsePairs(reply: unknown): Iterable<[name: string, value: number]> {
  const flat = reply as readonly unknown[];
  // A client may be configured to return numbers as text.
  for (let at = 0; at + 1 < flat.length; at += 2) yield [String(flat[at]), Number(flat[at + 1])];
}

const RESULTS: Readonly<Record<string, keyof Tally>> = {
  a: 'allowed',
  d: 'denied',
  s: 'shadowDenied',
  g: 'degraded',
};

/** Reads the hash of counts into tallies. Returns the writer's last batch in them. */
function readTallies(reply: unknown, into: HourCounts, writer: string): number {
  let applied = 0;
  for (const [field, count] of parsePairs(reply)) {
    if (field === `w:${writer}`) applied = count;
    const tallies = field.startsWith('r') ? into.routes : into.limits;
    const result = RESULTS[field.charAt(1)];
    if (result === undefined) continue;
    const name = field.slice(3);
    const tally = tallies.get(name) ?? emptyTally();
    tallies.set(name, tally);
    tally[result] = count;
  }
  return applied;
}

/**
 * Counts that all processes with the same prefix share, in five keys an hour. A script writes all five, so they are in one
 * slot of a Cluster.
 */
export class RedisCounters implements SharedCounters {
  constructor(
    readonly run: RedisDriver['evaluate'],
    readonly keyOf: KeyFormat,
  ) {}

  async add({ writer, sequence, counts, clients }: CountBatch, keepMs: number): Promise<void> {
    await this.run('count', this.#keys(counts.hour), [
      writer,
      sequence,
      keepMs,
      MAX_LISTED,
      clients.length,
      ...clients,
      ...listArguments(tallyRows(counts.routes)),
      ...listArguments(tallyRows(counts.limits)),
      ...listArguments([...counts.deniedClients].map(([client, { denied }]) => [client, denied])),
      ...listArguments(
        [...counts.users].map(([user, { allowed, denied }]) => [user, allowed + denied, denied]),
      ),
    ]);
  }

  async read(hour: number, writer: string): Promise<SharedCounts> {
    const reply = (await this.run('counted', this.#keys(hour), [])) as unknown[];
    const counts = emptyHour(hour);
    const applied = readTallies(reply[0], counts, writer);
    const uniqueClients = Number(reply[1]);
    for (const [client, denied] of parsePairs(reply[2]))
      counts.deniedClients.set(client, { ...emptyTally(), denied });
    const denials = new Map(parsePairs(reply[4]));
    for (const [user, total] of parsePairs(reply[3])) {
      const denied = denials.get(user) ?? 0;
      counts.users.set(user, { ...emptyTally(), allowed: total - denied, denied });
    }
    return { counts, uniqueClients, applied };
  }

  #keys(hour: number): readonly string[] {
    // No identity is written with `~`, so none of them has these keys.
    const prefix = `${this.keyOf('stats~')}:${hour}`;
    return ['counts', 'clients', 'denied', 'users', 'denials'].map((part) => `${prefix}:${part}`);
  }
}
