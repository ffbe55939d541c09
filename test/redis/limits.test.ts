import { RateLimit, RateLimiter, type RateLimitModuleOptions } from 'nestjs-ratelimit';
import { RedisStore, type RedisStoreOptions } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { type Platform, platforms, routes, serve, starter, statuses, times } from '../support/app.js';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

const Shop = routes({
  '/burst': RateLimit('10/min'),
  '/slow': RateLimit('3/min'),
  '/costs': RateLimit({
    rate: '5/min',
    cost: ({ request }) => Number((request.query as { cost: string }).cost),
  }),
  '/fixed': RateLimit({ rate: '5/min', algorithm: 'fixed-window' }),
  '/sliding': RateLimit('5/min'),
  '/bucket': RateLimit({ rate: '5/min', algorithm: 'token-bucket' }),
});

let runs = 0;

/** Serves the shop until a test has ended, and then looks for keys that would stay for ever. */
function starts(platform: Platform) {
  const open = starter(platform, { controllers: [Shop] });
  afterEach(async () => expect(await keysWithoutExpiry(redis)).toEqual([]));
  return async (limits: RateLimitModuleOptions['limits'] = [], settings: RedisStoreOptions = {}) => {
    const clock = new TestClock();
    const prefix = `run-${runs++}`;
    const store = new RedisStore({ url: redis.url, prefix, clock, ...settings });
    // No answer is late, however busy the machine is.
    const app = await open({ options: { limits, store, timeoutMs: 60_000 } });
    return { app, clock, prefix };
  };
}

describe.each(platforms)('limits on Redis, on %s', (platform) => {
  const start = starts(platform);

  test('A24 of 50 parallel requests at 10/min exactly 10 pass, and two looser limits are charged 10', async () => {
    const { app } = await start([
      { name: 'minute', rate: '20/min' },
      { name: 'day', rate: '1000/day' },
    ]);
    const answers = await Promise.all(Array.from({ length: 50 }, () => app.get('/burst')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(40);
    const left = (await app.get('/burst')).headers.get('ratelimit');
    expect(left).toBe('"minute";r=10;t=60, "day";r=990;t=86400, "burst-0";r=0;t=60');
  });

  test('A28 costs 1, 3 and 1 at 5/min pass, the next 1 does not; 6 never does, without a Retry-After', async () => {
    const { app } = await start();
    for (const cost of [1, 3, 1]) expect((await app.get(`/costs?cost=${cost}`)).status).toBe(200);
    expect((await app.get('/costs?cost=1')).headers.get('retry-after')).toBe('60');
    const never = await app.get('/costs?cost=6', { from: '203.0.113.9' });
    expect([never.status, never.headers.get('retry-after')]).toEqual([429, null]);
  });
});

describe('limits on Redis', () => {
  const start = starts('express');

  test('A26 requests at 0, 20, 40, 60 and 80 seconds at 3/min are never denied', async () => {
    const { app, clock } = await start();
    for (let i = 0; i < 5; i++) {
      expect((await app.get('/slow')).status).toBe(200);
      clock.advance('20s');
    }
  });

  test.each(['/fixed', '/sliding', '/bucket'])(
    'A30 waiting the Retry-After is enough on %s',
    async (path) => {
      const { app, clock } = await start();
      expect(await statuses(app, 6, path)).toEqual([...times(5, 200), 429]);
      const denied = await app.get(path);
      clock.advance(`${BigInt(denied.headers.get('retry-after') ?? '')}s`);
      expect((await app.get(path)).status).toBe(200);
    },
  );

  test('A31 a burst over the edge of two windows passes fixed-window and not sliding-window', async () => {
    const { app, clock } = await start();
    for (const [path, expected] of [
      ['/fixed', times(5, 200)],
      ['/sliding', [200, ...times(4, 429)]],
    ] as const) {
      await app.get(path);
      clock.advance('59s');
      expect(await statuses(app, 4, path)).toEqual(times(4, 200));
      clock.advance('1s');
      expect(await statuses(app, 5, path)).toEqual(expected);
    }
  });

  test('A11 of a header that is charged, its value stands nowhere in Redis', async () => {
    const limits = [{ name: 'key', rate: '4/min', key: 'header:x-api-key' }] as const;
    const { app, prefix } = await start(limits, { secret: 's' });
    const headers = { 'x-api-key': 'a-very-secret-key' };
    expect(await statuses(app, 5, '/burst', { headers })).toEqual([...times(4, 200), 429]);
    const keys = await redis.cli('KEYS', `${prefix}:*`);
    expect(keys).toContain('header:x-api-key:');
    expect(keys).not.toContain('a-very-secret-key');
    for (const key of keys.split('\n')) {
      expect(await redis.cli('HGETALL', key)).not.toContain('a-very-secret-key');
    }
  });

  test('the service resets, blocks and unblocks what routes have charged, for every process', async () => {
    const { app, clock, prefix } = await start();
    expect(await statuses(app, 11, '/burst')).toEqual([...times(10, 200), 429]);
    const limiter = app.app.get(RateLimiter);
    await limiter.reset({ identity: 'ip:127.0.0.1' });
    expect((await app.get('/burst')).status).toBe(200);
    const store = new RedisStore({ url: redis.url, prefix, clock });
    const elsewhere = new RateLimiter({ scopes: {}, store });
    await elsewhere.block({ identity: 'ip:127.0.0.1', for: '15min' });
    const blocked = await app.get('/slow');
    expect([blocked.status, blocked.headers.get('retry-after')]).toEqual([429, '900']);
    await limiter.unblock({ identity: 'ip:127.0.0.1' });
    expect((await app.get('/slow')).status).toBe(200);
    store.close();
  });
});

test('a key made of headers needs a secret that the fleet shares', async () => {
  const store = new RedisStore({ url: redis.url });
  const limits = [{ name: 'key', rate: '4/min', key: 'header:x-api-key' }] as const;
  await expect(serve('express', { options: { limits, store } })).rejects.toThrow(
    '[no-secret] limits[0]: The value of a header may be a secret',
  );
  store.close();
});

test('two processes write the same identity alike, a long one too', async () => {
  const id = `urn:${'x'.repeat(100)}`;
  const stores = [0, 1].map(() => new RedisStore({ url: redis.url, prefix: 'alike' }));
  const [first, second] = stores.map((store) => new RateLimiter({ store, scopes: { login: '2/min' } }));
  await first?.consume({ scope: 'login', identity: `user:${id}` });
  const outcome = await second?.consume({ scope: 'login', identity: `user:${id}` });
  expect(outcome?.decidedBy?.remaining).toBe(0);
  for (const store of stores) store.close();
});
