// Decisions on one Redis: 256 in flight, 10,000 clients; and one bucket that everybody charges.
import { Cluster, Redis } from 'ioredis';
import { definePolicy } from '../dist/esm/core/policy.js';
import { RedisStore } from '../dist/esm/store/redis/index.js';
import { contest, median, ratioOf } from './support/contest.mjs';
import { startRedis } from './support/redis.mjs';
import { atLeast, table, times, whole } from './support/section.mjs';

const ROUNDS = 9;
const IN_FLIGHT = 256;
const CLIENTS = 10_000;
const REQUESTS = 60_000;
/** Nobody is denied: peers answer a denial by an exception. */
const LIMIT = 1_000_000_000;
const WINDOWS_MS = [3_600_000, 7_200_000, 86_400_000];

const identities = Array.from({ length: CLIENTS }, (_, at) => `ip:10.0.${at >> 8}.${at & 255}`);

/** Decisions a second: each of those in flight begins the next one when it has its answer. */
function inFlight(decide, requests = REQUESTS, workers = IN_FLIGHT) {
  return {
    async measure() {
      let begun = 0;
      const work = async () => {
        while (begun < requests)
          await decide(identities[(Math.imul(begun++, 2_654_435_761) >>> 0) % CLIENTS]);
      };
      const startMs = performance.now();
      await Promise.all(Array.from({ length: workers }, work));
      return (requests / (performance.now() - startMs)) * 1_000;
    },
  };
}

const NO_BLOCKS = [];
let deciders = 0;
/** Has identities of its own on the server. */
const decider = async (port, limits, algorithm, cluster) => {
  const policies = WINDOWS_MS.slice(0, limits).map((windowMs, at) =>
    definePolicy({ name: `limit${at}`, scope: 'all', rate: { limit: LIMIT, windowMs }, algorithm }),
  );
  const client = cluster && new Cluster([{ host: '127.0.0.1', port }], { retryDelayOnFailover: 0 });
  const prefix = `bench-${process.pid}-${deciders++}`;
  const store = client ? new RedisStore(client, { prefix }) : new RedisStore({ port, prefix });
  await store.open();
  const chargesOf = (identity) =>
    policies.map((policy) => ({ policy, identity, cost: 1, shadow: false, blockDurationsMs: NO_BLOCKS }));
  return {
    decide: (identity) => store.consume(chargesOf(identity)),
    close: () => (client ? client.disconnect() : store.close()),
  };
};

const ours =
  (limits, oneBucket, algorithm) =>
  async ({ port }) => {
    const { decide } = await decider(port, limits, algorithm);
    return inFlight(oneBucket ? () => decide('ip:10.0.0.1') : decide);
  };

const nestLab =
  (limits) =>
  async ({ port }) => {
    const { ThrottlerStorageRedisService } = await import('@nest-lab/throttler-storage-redis');
    const storage = new ThrottlerStorageRedisService(new Redis(port));
    // As ThrottlerGuard does: one limit after the other.
    return inFlight(async (identity) => {
      for (const windowMs of WINDOWS_MS.slice(0, limits)) {
        await storage.increment(identity, windowMs, LIMIT, windowMs, `limit${windowMs}`);
      }
    });
  };

export const ways = {
  'one limit': ours(1, false, 'fixed-window'),
  'one limit, sliding-window': ours(1, false, 'sliding-window'),
  'one limit, token-bucket': ours(1, false, 'token-bucket'),
  'three limits': ours(3, false, 'fixed-window'),
  'one bucket': ours(1, true, 'fixed-window'),
  async 'rate-limiter-flexible'({ port }) {
    const { RateLimiterRedis } = await import('rate-limiter-flexible');
    const limiter = new RateLimiterRedis({ storeClient: new Redis(port), points: LIMIT, duration: 3_600 });
    return inFlight((identity) => limiter.consume(identity));
  },
  async 'rate-limit-redis'({ port }) {
    const { RedisStore } = await import('rate-limit-redis');
    const client = new Redis(port);
    const store = new RedisStore({ sendCommand: (...args) => client.call(...args) });
    await store.init({ windowMs: WINDOWS_MS[0] });
    return inFlight((identity) => store.increment(identity));
  },
  '@nest-lab, one limit': nestLab(1),
  '@nest-lab, three limits': nestLab(3),
  async INCR({ port }) {
    const client = new Redis(port);
    return inFlight(() => client.incr('hot'));
  },
};

const FLEXIBLE = 'rate-limiter-flexible';
const [LAB, LAB_3] = ['@nest-lab, one limit', '@nest-lab, three limits'];
const SAID = {
  'one limit': 'RedisStore, one limit, fixed-window',
  'one limit, sliding-window': 'RedisStore, one limit, sliding-window',
  'one limit, token-bucket': 'RedisStore, one limit, token-bucket',
  'three limits': 'RedisStore, three limits, fixed-window',
  'one bucket': 'RedisStore, one bucket for everybody',
  INCR: 'INCR of one key by ioredis',
};

/** What a decision costs the server, by how many are in flight. */
async function costs(server, isCluster, inFlights) {
  const rows = [];
  for (const limits of [1, 3]) {
    for (const workers of inFlights) {
      const requests = workers === 1 ? REQUESTS / 10 : REQUESTS;
      const { decide, close } = await decider(server.port, limits, 'sliding-window', isCluster);
      const { measure } = inFlight(decide, requests, workers);
      await measure();
      const read = async () => [
        await server.processorTime(),
        await server.commandTime(),
        await server.bytes(),
      ];
      const before = await read();
      await measure();
      const [seconds, commands, bytes] = (await read()).map((now, at) => now - before[at]);
      const us = (time) => ((time * 1e6) / requests).toFixed(1);
      const where = isCluster ? 'a Cluster of one' : 'one server';
      rows.push([where, limits, workers, us(seconds), us(commands), whole(bytes / requests)]);
      close();
    }
  }
  return rows;
}

export default async function measure() {
  const server = await startRedis();
  const measured = await contest(new URL(import.meta.url), Object.keys(ways), { port: server.port }, ROUNDS);
  const cost = await costs(server, false, [1, 16, IN_FLIGHT]);
  await server.stop();
  const cluster = await startRedis({ cluster: true });
  cost.push(...(await costs(cluster, true, [1, 16, IN_FLIGHT])));
  await cluster.stop();
  const of = (name, other) => ratioOf(measured[name], measured[other]);
  return {
    title: 'Decisions on Redis',
    text: `One server on loopback, ${IN_FLIGHT} requests in flight, ${whole(CLIENTS)} clients, ${whole(REQUESTS)} requests a round, ${ROUNDS} rounds in turn, each library in a process of its own.`,
    tables: [
      table(
        ['', 'decisions a second', `of ${FLEXIBLE}`, `of ${LAB}`, 'of INCR'],
        Object.keys(measured).map((name) => [
          SAID[name] ?? name,
          whole(median(measured[name])),
          times(of(name, FLEXIBLE)),
          times(of(name, LAB)),
          times(of(name, 'INCR')),
        ]),
      ),
      table(
        [
          'sliding-window',
          'limits',
          'in flight',
          "microseconds of the server's processor a decision",
          'in its commands',
          'bytes in and out',
        ],
        cost,
      ),
    ],
    bars: [
      atLeast(`one limit, of ${FLEXIBLE}`, of('one limit', FLEXIBLE), 1.5),
      atLeast(`one limit, of ${LAB}`, of('one limit', LAB), 2.5),
      atLeast('three limits, of one limit', of('three limits', 'one limit'), 0.4),
      atLeast(`three limits, of ${LAB_3}`, of('three limits', LAB_3), 3),
      atLeast('one bucket, of INCR', of('one bucket', 'INCR'), 4),
    ],
  };
}
