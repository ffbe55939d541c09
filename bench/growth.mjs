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

/** Nanoseconds a decision, while buckets fill, are full, and let the oldest go. */
const way =
  (name, limits, limit) =>
  async ({ port }) => {
    const isRedis = name === 'Redis';
    const store = isRedis ? new RedisStore({ port, prefix: `${limits}-${limit}` }) : new MemoryStore();
    const policies = Array.from({ length: limits }, (_, at) =>
      definePolicy({ name: `limit${at}`, scope: 'all', rate: { limit, windowMs: 1_000 + at } }),
    );
    const chargesOf = (identity) =>
      policies.map((policy) => ({ policy, identity, cost: 1, shadow: false, blocks: NO_BLOCKS }));
    const requests = REQUESTS[name];
    return {
      async measure() {
        let begun = 0;
        const startMs = performance.now();
        if (isRedis) {
          const work = async () => {
            while (begun < requests) await store.consume(chargesOf(identities[begun++ % CLIENTS]));
          };
          await Promise.all(Array.from({ length: IN_FLIGHT }, work));
        } else while (begun < requests) store.consume(chargesOf(identities[begun++ % CLIENTS]));
        return ((performance.now() - startMs) * 1e6) / requests;
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
    text: `Sliding windows of about a second, ${CLIENTS} clients, ${ROUNDS} rounds in turn. Low limits deny most requests; on Redis the denials are answered without it.`,
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
      atMost(`${store}: 3 limits, of 1`, growth(store, 3, 100_000), 3, times),
      atMost(`${store}: 10 limits, of 1`, growth(store, 10, 100_000), 10, times),
    ]),
  };
}
