// A fleet on paper: many instances, one store behind a network that takes its time, and clients of whom few ask for
// most. In virtual time, with the algorithm and the memory of denials that the library has.
import { definePolicy } from '../dist/esm/core/policy.js';
import { MemoryStore } from '../dist/esm/index.js';
import { DenialCache } from '../dist/esm/store/redis/denial-cache.js';
import { randomFrom, zipf } from '../test/support/traffic.mjs';
import { atMost, table, whole } from './support/section.mjs';

const INSTANCES = 200;
const CLIENTS = 10_000;
const REQUESTS = 400_000;
const SECONDS = 40;
const LIMIT = 100;
const WINDOW_MS = 10_000;
/** One way, in milliseconds: most within a data centre take the least, some far more. */
const NETWORK_MS = [0.2, 3];

/** What is to happen, by time, and what happens at the same time in its order. */
class Agenda {
  #buckets = new Map();
  nowMs = 0;

  at(ms, task) {
    const tick = Math.max(Math.ceil(ms * 100), Math.ceil(this.nowMs * 100));
    const tasks = this.#buckets.get(tick);
    if (tasks === undefined) this.#buckets.set(tick, [task]);
    else tasks.push(task);
  }

  async run() {
    for (let tick = 0; this.#buckets.size > 0; tick++) {
      for (let tasks = this.#buckets.get(tick); tasks !== undefined; tasks = this.#buckets.get(tick)) {
        this.#buckets.delete(tick);
        this.nowMs = tick / 100;
        for (const task of tasks) task();
        // Promises that were kept go on before time does.
        for (let turn = 0; turn < 8; turn++) await null;
      }
    }
  }
}

async function simulate(algorithm) {
  const random = randomFrom(20);
  const clientOf = zipf(CLIENTS, 1, random);
  const agenda = new Agenda();
  const store = new MemoryStore({
    maxBuckets: CLIENTS,
    clock: { now: () => Math.floor(1e12 + agenda.nowMs), every: () => () => undefined },
  });
  const rate = { limit: LIMIT, windowMs: WINDOW_MS };
  const policy = definePolicy({ name: 'all', scope: 'all', rate, algorithm });
  const hopMs = () => NETWORK_MS[0] + (NETWORK_MS[1] - NETWORK_MS[0]) * random() ** 4;
  let trips = 0;
  /** When the store has admitted each client. */
  const admissions = Array.from({ length: CLIENTS }, () => []);
  const ask = (charges) =>
    new Promise((resolve) => {
      trips++;
      agenda.at(agenda.nowMs + hopMs(), () => {
        const { decisions } = store.consume(charges);
        if (decisions[0].allowed) admissions[Number(charges[0].identity)].push(Math.floor(agenda.nowMs));
        agenda.at(agenda.nowMs + hopMs(), () => resolve(decisions));
      });
    });
  const instances = Array.from({ length: INSTANCES }, () => new DenialCache(() => agenda.nowMs));
  const asked = new Array(CLIENTS).fill(0);
  let denied = 0;
  for (let request = 0; request < REQUESTS; request++) {
    const client = clientOf();
    const instance = instances[Math.floor(random() * INSTANCES)];
    asked[client]++;
    agenda.at(random() * SECONDS * 1_000, async () => {
      const charges = [{ policy, identity: String(client), cost: 1, shadow: false, blockDurationsMs: [] }];
      const [decision] = await instance.getOrFetch(charges, () => ask(charges));
      if (!decision.allowed) denied++;
    });
  }
  await agenda.run();
  return { asked, admissions, denied, trips };
}

/** The most that was admitted in any window, whenever that begins. */
function mostInAWindow(times) {
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last] - times[first] >= WINDOW_MS) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

export default async function measure() {
  const rows = [];
  const bars = [];
  for (const [algorithm, allowed] of [
    ['sliding-window', LIMIT],
    // Of two windows that follow one another, each its own.
    ['fixed-window', 2 * LIMIT],
    ['token-bucket', 2 * LIMIT],
  ]) {
    const { asked, admissions, denied, trips } = await simulate(algorithm);
    const admitted = admissions.reduce((sum, { length }) => sum + length, 0);
    const most = Math.max(...admissions.map(mostInAWindow));
    // Who asked no more than the limit in all was within it at any time.
    const modest = asked.filter((count) => count <= LIMIT).length;
    const wronged = asked.filter((count, at) => count <= LIMIT && admissions[at].length < count).length;
    rows.push([
      algorithm,
      whole(admitted),
      whole(denied),
      most,
      allowed,
      `${wronged} of ${whole(modest)}`,
      (trips / REQUESTS).toFixed(3),
    ]);
    bars.push(
      atMost(`${algorithm}: admitted in any window`, most, allowed),
      atMost(`${algorithm}: clients within their limit who were denied`, wronged, 0),
    );
  }
  return {
    title: 'A fleet, simulated',
    text: `${INSTANCES} instances, one store, ${NETWORK_MS[0]} to ${NETWORK_MS[1]} ms from one to the other, ${whole(CLIENTS)} clients by Zipf's law, ${whole(REQUESTS)} requests in ${SECONDS} s, \`${LIMIT}/${WINDOW_MS / 1_000}s\`, in virtual time.`,
    tables: [
      table(
        [
          '',
          'admitted',
          'denied',
          'most in any window',
          'allowed',
          'denied though within it',
          'round trips a request',
        ],
        rows,
      ),
    ],
    bars,
  };
}
