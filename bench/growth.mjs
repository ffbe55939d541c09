// Whether a decision takes longer under a higher limit, and how much longer with more limits.
import { definePolicy } from '../dist/esm/core/policy.js';
import { MemoryStore } from '../dist/esm/index.js';
import { RedisStore } from '../dist/esm/store/redis/index.js';
import { contest, median, ratioOf } from './support/contest.mjs';
import { startRedis } from './support/redis.mjs';
import { atMost, table, times, whole } from './support/section.mjs';

const ROUNDS = 9;
const REQUESTS = { memory: 200_000, Redis: 20_000 };
const CLIENTS = 100;
const IN_FLIGHT = 256;

const identities = Array.from({ length: CLIENTS }, (_, at) => `ip:10.0.0.${at}`);
const NO_BLOCKS = [];

const WINDOW_MS = 60_000;
/** Charges that fill a bucket, spread over its window: twice as many as a sliding window keeps apart. */
const FILLING = 64;

/** A clock that the bench turns, by parts of a millisecond. */
function turned() {
  let ms = Date.now();
  return {
    now: () => Math.floor(ms),
    every: () => () => undefined,
    turn(by) {
      ms += by;
    },
  };
}

/** Nanoseconds a decision on buckets that are nearly full, and get one unit back for each that is charged. */
const way =
  (name, limits, limit) =>
  async ({ port }) => {
    const isRedis = name === 'Redis';
    const clock = turned();
    const store = isRedis
      ? new RedisStore({ port, prefix: `${limits}-${limit}`, clock })
      : new MemoryStore({ clock });
    const policies = Array.from({ length: limits }, (_, at) =>
      definePolicy({ name: `limit${at}`, scope: 'all', rate: { limit, windowMs: WINDOW_MS } }),
    );
    const chargesOf = (identity, cost) =>
      policies.map((policy) => ({ policy, identity, cost, shadow: false, blockDurationsMs: NO_BLOCKS }));
    const fillings = Math.min(FILLING, Math.floor(0.9 * limit));
    const cost = Math.max(1, Math.floor((0.85 * limit) / fillings));
    for (let filling = 0; filling < fillings; filling++) {
      for (const identity of identities) await store.consume(chargesOf(identity, cost));
      clock.turn(WINDOW_MS / fillings);
    }
    const requests = REQUESTS[name];
    let admitted = 0;
    // A little slower than the limit, since units of a sub-window come back together.
    const turnMs = (WINDOW_MS * 1.1) / limit / CLIENTS;
    const decide = (at) => {
      clock.turn(turnMs);
      return store.consume(chargesOf(identities[at % CLIENTS], 1));
    };
    return {
      async measure() {
        let begun = 0;
        admitted = 0;
        const startMs = performance.now();
        if (isRedis) {
          const work = async () => {
            while (begun < requests) if ((await decide(begun++)).decisions[0].allowed) admitted++;
          };
          await Promise.all(Array.from({ length: IN_FLIGHT }, work));
        } else while (begun < requests) if (decide(begun++).decisions[0].allowed) admitted++;
        const took = ((performance.now() - startMs) * 1e6) / requests;
        if (admitted < 0.9 * requests) throw new Error(`Only ${admitted} of ${requests} were admitted.`);
        return took;
      },
    };
  };

const LIMITS = [10, 1_000, 100_000];
const COUNTS = [1, 3, 10];
const nameOf = (store, limits, limit) => `${store}, ${limits} x ${whole(limit)}`;

export const ways = Object.fromEntries(
  ['memory', 'Redis'].flatMap((store) => [
    ...LIMITS.map((limit) => [nameOf(store, 1, limit), way(store, 1, limit)]),
    ...COUNTS.slice(1).map((limits) => [nameOf(store, limits, 100_000), way(store, limits, 100_000)]),
  ]),
);

export default async function measure() {
  const server = await startRedis();
  const measured = await contest(new URL(import.meta.url), Object.keys(ways), { port: server.port }, ROUNDS);
  await server.stop();
  const of = (store, limits, limit) => measured[nameOf(store, limits, limit)];
  const growth = (store, limits, limit) => ratioOf(of(store, limits, limit), of(store, 1, 100_000));
  return {
    title: 'Growth',
    text: `Sliding windows of a minute, ${CLIENTS} clients who come as often as they may, so that buckets are nearly full and let the oldest go; by a clock that the bench turns. ${ROUNDS} rounds in turn.`,
    tables: [
      table(
        ['limits x limit', 'microseconds a decision', 'of 1 x 100,000'],
        Object.keys(measured).map((name) => {
          const store = name.split(',')[0];
          return [
            name,
            (median(measured[name]) / 1_000).toFixed(2),
            times(ratioOf(measured[name], of(store, 1, 100_000))),
          ];
        }),
      ),
    ],
    bars: ['memory', 'Redis'].flatMap((store) => [
      atMost(`${store}: limit of 100,000, of 1,000`, 1 / growth(store, 1, 1_000), 1.2, times),
      atMost(`${store}: limit of 100,000, of 10`, 1 / growth(store, 1, 10), 1.2, times),
      atMost(`${store}: 3 limits, of 1`, growth(store, 3, 100_000), 3, times),
      atMost(`${store}: 10 limits, of 1`, growth(store, 10, 100_000), 10, times),
    ]),
  };
}
