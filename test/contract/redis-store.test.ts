import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import type { Clock } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { storeContract } from 'nestjs-ratelimit/testing';
import { type RedisServer, startRedis } from '../support/redis.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

let stores = 0;
const settingsFor = (clock: Clock) => ({ clock, prefix: `store-${stores++}` });

describe('RedisStore', () => {
  for (const behaviour of storeContract({
    create: (clock) => new RedisStore({ url: redis.url, ...settingsFor(clock) }),
  })) {
    test(behaviour.name, () => behaviour.run());
  }
});

const clients = [
  ['ioredis 6', (options: object) => new Redis(redis.port, '127.0.0.1', options)],
  [
    'ioredis 6 over RESP3',
    (options: object) => new Redis(redis.port, '127.0.0.1', { ...options, protocol: 3 }),
  ],
  ['ioredis 5', (options: object) => new Redis5(redis.port, '127.0.0.1', options)],
] as const;

describe.each(clients)('RedisStore on a client of %s', (_name, connect) => {
  let client: ReturnType<typeof connect>;
  beforeAll(() => {
    client = connect({ autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
  });
  afterAll(() => client.disconnect());

  for (const behaviour of storeContract({ create: (clock) => new RedisStore(client, settingsFor(clock)) })) {
    test(behaviour.name, () => behaviour.run());
  }

  test('the client stays open behind a store that is closed', async () => {
    new RedisStore(client).close();
    expect(await client.ping()).toBe('PONG');
  });
});
