import { connect } from 'node:net';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiter } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { platforms, serve } from '../support/app.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

/** Listens to every command of a server until it is told to stop. */
async function monitor(server: RedisServer): Promise<() => Promise<readonly string[]>> {
  const socket = connect(server.port, server.host);
  let said = '';
  socket.on('data', (chunk) => {
    said += String(chunk);
  });
  socket.write('MONITOR\r\n');
  await until('MONITOR has begun', async () => said.includes('+OK'));
  return async () => {
    await server.cli('ECHO', 'the end');
    await until('MONITOR has heard everything', async () => said.includes('the end'));
    socket.destroy();
    return said.split('\r\n').filter((line) => /^\+\d/.test(line) && !line.includes('the end'));
  };
}

@Controller()
class Page {
  @Get() @RateLimit('100/min') get() {
    return 'ok';
  }
}

test.each(platforms)('a request under three limits is one command, on %s', async (platform) => {
  const store = new RedisStore({ url: redis.url, prefix: platform });
  const app = await serve(platform, {
    controllers: [Page],
    options: {
      store,
      limits: [
        { name: 'burst', rate: '60/min' },
        { name: 'day', rate: '1000/day', algorithm: 'token-bucket' },
      ],
    },
  });
  await app.get('/');
  const stop = await monitor(redis);
  const answer = await app.get('/');
  const lines = await stop();
  expect(answer.headers.get('ratelimit-policy')).toBe(
    '"burst";q=60;w=60, "day";q=1000;w=86400, "get-0";q=100;w=60',
  );
  const commands = lines.filter((line) => !/ \[\d+ lua\] /.test(line));
  expect(commands).toEqual([expect.stringMatching(/ "evalsha" "[0-9a-f]{40}" "1" /i)]);
  await app.close();
});

const calls = async (server: RedisServer): Promise<number> =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(await server.cli('INFO', 'commandstats'))?.[1] ?? 0);

test('10,000 denials of one client at 100/hour are fewer than 10 commands a second', async () => {
  const store = new RedisStore({ url: redis.url, prefix: 'denials' });
  const limiter = new RateLimiter({ store, scopes: { page: '100/hour' } });
  const target = { scope: 'page', identity: 'ip:203.0.113.1' } as const;
  for (let i = 0; i < 100; i++) expect((await limiter.consume(target)).allowed).toBe(true);
  const before = await calls(redis);
  const start = performance.now();
  let denied = 0;
  let longest = 0;
  // A second and a half at least, so that what is asked again is seen as well.
  while (denied < 10_000 || performance.now() - start < 1_500) {
    const { allowed, retryAfterMs } = await limiter.consume(target);
    if (!allowed) denied++;
    longest = Math.max(longest, retryAfterMs ?? 0);
    if (denied % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const seconds = (performance.now() - start) / 1_000;
  const commands = (await calls(redis)) - before;
  expect(denied).toBeGreaterThanOrEqual(10_000);
  expect(longest).toBeLessThanOrEqual((3_600_000 * 33) / 32);
  expect(commands).toBeGreaterThan(0);
  expect(commands / seconds).toBeLessThan(10);
  store.close();
});

test('decisions of one turn of the event loop travel in one command, and are decided in their order', async () => {
  const store = new RedisStore({ url: redis.url, prefix: 'turn' });
  const limiter = new RateLimiter({ store, scopes: { page: '10/min' } });
  await limiter.peek({ scope: 'page', identity: 'user:0' });
  const before = await calls(redis);
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, () => limiter.consume({ scope: 'page', identity: 'user:1' })),
  );
  expect(outcomes.map(({ allowed, binding }) => [allowed, binding?.remaining])).toEqual([
    ...[9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((remaining) => [true, remaining]),
    [false, 0],
    [false, 0],
  ]);
  expect((await calls(redis)) - before).toBe(1);
  store.close();
});

test('what a reset elsewhere has forgotten is denied for no longer than a second', async () => {
  const stores = [0, 1].map(() => new RedisStore({ url: redis.url, prefix: 'reset' }));
  const [here, elsewhere] = stores.map((store) => new RateLimiter({ store, scopes: { page: '1/hour' } }));
  const target = { scope: 'page', identity: 'user:1' } as const;
  await here?.consume(target);
  expect((await here?.consume(target))?.allowed).toBe(false);
  await elsewhere?.reset({ identity: 'user:1' });
  const start = performance.now();
  await until('the reset has taken hold', async () => (await here?.consume(target))?.allowed);
  expect(performance.now() - start).toBeLessThan(1_200);
  for (const store of stores) store.close();
});
