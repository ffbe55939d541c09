import { Redis } from 'ioredis';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { chargeOf } from '../support/charges.js';
import { OwnTime } from '../support/own-time.mjs';
import { startRedis } from '../support/redis.js';

describe('a store that cannot be meant', () => {
  test.each([
    ['a URL that the environment lacks', { url: undefined }, 'RedisStore: no value for url.'],
    [
      'a URL in place of options',
      'redis://localhost',
      'RedisStore: "redis://localhost" is neither a client nor options for one.',
    ],
    ['nothing', undefined, 'RedisStore: undefined is neither a client nor options for one.'],
    [
      'the client of another library',
      { sendCommand: () => undefined },
      'RedisStore: { sendCommand } is neither a client nor options for one.',
    ],
    [
      'a client within options',
      { client: { defineCommand: () => undefined } },
      'RedisStore: its options contain a client, as client.',
    ],
    ['a prefix with braces', { prefix: '{a}' }, 'RedisStore: prefix cannot be "{a}".'],
    ['another cluster', { cluster: 'all' }, 'RedisStore: cluster cannot be "all".'],
  ])('%s', (_what, given, said) => {
    expect(() => new RedisStore(given as never)).toThrow(`[bad-option] ${said}`);
  });

  test('a misspelled setting beside a client', () => {
    const client = new Redis({
      lazyConnect: true,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    });
    expect(() => new RedisStore(client, { prefx: 'shop' } as never)).toThrow(
      '[bad-option] RedisStore: Unknown option "prefx". The options are prefix, secret, cluster, clock.',
    );
  });
});

test('sentinels that are away reject decisions, at once after the first', async () => {
  const store = new RedisStore({ sentinels: [{ host: '127.0.0.1', port: 1 }], name: 'none' });
  const time = new OwnTime();
  await expect(store.consume([chargeOf({})])).rejects.toThrow();
  await expect(store.consume([chargeOf({})])).rejects.toThrow();
  expect(time.stop()).toBeLessThan(4_000);
  store.close();
});

test('a client that reads numbers as text decides alike', async () => {
  const redis = await startRedis();
  const client = new Redis(redis.url, { stringNumbers: true, autoResendUnfulfilledCommands: false });
  const { decisions } = await new RedisStore(client).consume([chargeOf({ limit: 5 })]);
  expect(decisions[0]).toMatchObject({ allowed: true, remaining: 4, retryAfterMs: 0 });
  client.disconnect();
});
