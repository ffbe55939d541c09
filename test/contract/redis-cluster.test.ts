import { Cluster } from 'ioredis';
import { Cluster as Cluster5 } from 'ioredis5';
import type { Clock } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { storeContract } from 'nestjs-ratelimit/testing';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { type RedisCluster, startCluster } from '../support/redis.js';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startCluster();
});

let stores = 0;
const settingsFor = (clock: Clock) => ({ clock, prefix: `store-${stores++}` });

const addresses = () => cluster.nodes.map(({ host, port }) => ({ host, port }));

const ways = [
  ['a Cluster of ioredis 6', () => new Cluster(addresses(), { retryDelayOnFailover: 0 }), {}],
  ['a Cluster of ioredis 5', () => new Cluster5(addresses(), { retryDelayOnFailover: 0 }), {}],
  [
    'one slot of a Cluster',
    () => new Cluster(addresses(), { retryDelayOnFailover: 0 }),
    { cluster: 'one-slot' },
  ],
] as const;

describe.each(ways)('RedisStore on %s', (_name, connect, settings) => {
  let client: ReturnType<typeof connect>;
  beforeAll(() => {
    client = connect();
  });
  afterAll(() => client.disconnect());

  for (const behaviour of storeContract({
    create: (clock) => new RedisStore(client, { ...settingsFor(clock), ...settings }),
  })) {
    test(behaviour.name, () => behaviour.run());
  }
});

test('no key is left that would stay for ever', async () => {
  for (const node of await cluster.masters()) expect(await keysWithoutExpiry(node)).toEqual([]);
});
