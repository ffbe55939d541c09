// What a bucket takes, in this process and in Redis.
import { definePolicy } from '../dist/esm/core/policy.js';
import { MemoryStore } from '../dist/esm/index.js';
import { RedisStore } from '../dist/esm/store/redis/index.js';
import { contest, median } from './support/contest.mjs';
import { startRedis } from './support/redis.mjs';
import { atMost, table, whole } from './support/section.mjs';

const BUCKETS = 1_000_000;
const addressOf = (at) => `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`;
const WINDOW_MS = 3_600_000;

const used = () => {
  global.gc();
  global.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** Bytes for each of a million clients, once `fill` has been done for all of them. */
function perClient(fill) {
  return {
    async measure() {
      const before = used();
      const kept = await fill();
      const bytes = (used() - before) / BUCKETS;
      // Or else it would be gone already.
      kept.last = true;
      return bytes;
    },
  };
}

/** An identity as a request brings it: a text of its own. */
const identityOf = (at) => Buffer.from(`ip:${addressOf(at)}`).toString('latin1');

const ours = (algorithm, charges) => () =>
  perClient(() => {
    let nowMs = Date.now();
    const clock = { now: () => nowMs, every: () => () => undefined };
    const store = new MemoryStore({ maxBuckets: 2 * BUCKETS, clock });
    const policy = definePolicy({
      name: 'all',
      scope: 'all',
      rate: { limit: 100, windowMs: WINDOW_MS },
      algorithm,
    });
    for (let charge = 0; charge < charges; charge++) {
      nowMs += 1_000;
      for (let at = 0; at < BUCKETS; at++) {
        store.consume([{ policy, identity: identityOf(at), cost: 1, shadow: false, blockDurationsMs: [] }]);
      }
    }
    return { store };
  });

export const ways = {
  'fixed-window': ours('fixed-window', 1),
  'token-bucket': ours('token-bucket', 1),
  'sliding-window, 1 charge': ours('sliding-window', 1),
  'sliding-window, 5 charges': ours('sliding-window', 5),
  'sliding-window, 40 charges': ours('sliding-window', 40),
  'express-rate-limit': () =>
    perClient(async () => {
      const { MemoryStore } = await import('express-rate-limit');
      const store = new MemoryStore();
      store.init({ windowMs: WINDOW_MS });
      for (let at = 0; at < BUCKETS; at++) await store.increment(identityOf(at));
      return { store };
    }),
  'rate-limiter-flexible': () =>
    perClient(async () => {
      const { RateLimiterMemory } = await import('rate-limiter-flexible');
      const store = new RateLimiterMemory({ points: 100, duration: WINDOW_MS / 1_000 });
      for (let at = 0; at < BUCKETS; at++) await store.consume(identityOf(at));
      return { store };
    }),
};

/** Key and field together, which say what one text would say of a client and a limit. */
const NAME_BYTES = 53;
const IDENTITY = 'ip:203.0.113.207';

/** Bytes by MEMORY USAGE of a bucket after so many charges, spread over its window. */
async function inRedis(server, algorithm, charges, windowMs, cost) {
  await server.client.flushall();
  let nowMs = Date.now();
  const clock = { now: () => nowMs, every: () => () => undefined };
  const store = new RedisStore({ port: server.port, clock });
  const besides = `ratelimit:{${IDENTITY}}all::x:${windowMs}`.length;
  const name = 'burst'.padEnd(NAME_BYTES - besides, '-of-clients');
  const policy = definePolicy({ name, scope: 'all', rate: { limit: 1_000_000, windowMs }, algorithm });
  for (let charge = 0; charge < charges; charge++) {
    nowMs += Math.max(1, Math.floor((0.9 * windowMs) / charges));
    await store.consume([{ policy, identity: IDENTITY, cost, shadow: false, blockDurationsMs: [] }]);
  }
  store.close();
  const [key] = await server.client.keys('*');
  const [field] = await server.client.hkeys(key);
  return { name: `${key} ${field}`, bytes: await server.client.memory('USAGE', key) };
}

const SLIDING = 'sliding-window';

export default async function measure() {
  const process = {};
  for (const name of Object.keys(ways)) {
    // A process each time, which has had nothing in memory before; no round warms it up.
    const measured = await contest(new URL(import.meta.url), [name], {}, 1, { warm: false });
    process[name] = median(measured[name]);
  }
  const server = await startRedis();
  const redis = [];
  for (const [algorithm, charges, bar, cost = 1] of [
    ['fixed-window', 1, 140],
    ['fixed-window', 1_000, 140],
    ['token-bucket', 1, 140],
    ['token-bucket', 1_000, 140],
    [SLIDING, 1, 152],
    [SLIDING, 5, 152],
    [SLIDING, 5, 152, 200],
    [SLIDING, 32, 700],
    [SLIDING, 32, 700, 200],
    [SLIDING, 1_000, 700],
    [SLIDING, 5_000, 700],
  ]) {
    for (const windowMs of [60_000, WINDOW_MS]) {
      redis.push({
        algorithm,
        charges,
        cost,
        bar,
        ...(await inRedis(server, algorithm, charges, windowMs, cost)),
      });
    }
  }
  await server.stop();
  /** The most bytes of those that have this bar. */
  const most = (bar, isMeant) =>
    Math.max(...redis.filter((one) => one.bar === bar && isMeant(one)).map(({ bytes }) => bytes));
  return {
    title: 'Memory',
    text: `In this process: heap and external memory of ${whole(BUCKETS)} clients after garbage collection, each client's identity included. In Redis: \`MEMORY USAGE\` of a client's key; a field is a limit, so that further limits of the client cost less.`,
    tables: [
      table(
        ['in this process', 'bytes a bucket'],
        Object.entries(process).map(([name, bytes]) => [name, whole(bytes)]),
      ),
      table(
        ['in Redis', 'charges', 'of a cost of', 'key and field', 'bytes'],
        redis.map(({ algorithm, charges, cost, name, bytes }) => [
          algorithm,
          whole(charges),
          cost,
          `\`${name}\``,
          bytes,
        ]),
      ),
    ],
    bars: [
      atMost('fixed-window, bytes a bucket', process['fixed-window'], 220),
      atMost('token-bucket', process['token-bucket'], 220),
      atMost('sliding-window, 5 charges', process['sliding-window, 5 charges'], 280),
      atMost(
        'Redis, fixed-window and token-bucket',
        most(140, (one) => one.algorithm !== SLIDING),
        140,
      ),
      ...[152, 700].flatMap((bar) => {
        const what = `Redis, sliding-window, ${bar === 152 ? 'up to 5 charges' : 'any number'}`;
        return [
          atMost(
            what,
            most(bar, (one) => one.algorithm === SLIDING && one.cost === 1),
            bar,
          ),
          atMost(
            `${what}, of a cost of 200`,
            most(bar, (one) => one.cost === 200),
            bar,
          ),
        ];
      }),
    ],
  };
}
