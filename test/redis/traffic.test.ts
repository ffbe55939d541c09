import { connect } from 'node:net';
import { RateLimit, RateLimiter } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { routes, serve } from '../support/app.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

/** No answer is late, however busy the machine is. */
const timeoutMs = 60_000;

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

const Page = routes({ '/': RateLimit('100/min') });

test('a request under three limits is one command', async () => {
  const store = new RedisStore({ url: redis.url, prefix: 'three' });
  const app = await serve('express', {
    controllers: [Page],
    options: {
      store,
      timeoutMs,
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
  const clock = new TestClock();
  const store = new RedisStore({ url: redis.url, prefix: 'denials', clock });
  const limiter = new RateLimiter({ store, scopes: { page: '100/hour' }, timeoutMs });
  const target = { scope: 'page', identity: 'ip:203.0.113.1' } as const;
  for (let i = 0; i < 100; i++) expect((await limiter.consume(target)).allowed).toBe(true);
  const before = await calls(redis);
  let denied = 0;
  let longest = 0;
  for (let asked = 1; asked <= 10_000; asked++) {
    const { allowed, retryAfterMs } = await limiter.consume(target);
    if (!allowed) denied++;
    longest = Math.max(longest, retryAfterMs ?? 0);
    // Two seconds in all, so that what is asked again is seen as well.
    if (asked % 5 === 0) clock.advance(1);
  }
  const commands = (await calls(redis)) - before;
  expect(denied).toBe(10_000);
  expect(longest).toBeLessThanOrEqual((3_600_000 * 33) / 32);
  expect(commands).toBeGreaterThan(0);
  expect(commands / 2).toBeLessThan(10);
  store.close();
});

test('a first decision leaves immediately, the others of its turn in one command, and all are decided in order', async () => {
  const store = new RedisStore({ url: redis.url, prefix: 'turn' });
  const limiter = new RateLimiter({ store, scopes: { page: '10/min' }, timeoutMs });
  await limiter.peek({ scope: 'page', identity: 'user:0' });
  const before = await calls(redis);
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, () => limiter.consume({ scope: 'page', identity: 'user:1' })),
  );
  expect(outcomes.map(({ allowed, decidedBy }) => [allowed, decidedBy?.remaining])).toEqual([
    ...[9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((remaining) => [true, remaining]),
    [false, 0],
    [false, 0],
  ]);
  expect((await calls(redis)) - before).toBe(2);
  store.close();
});

test('what a reset elsewhere has forgotten is denied for no longer than a second', async () => {
  const clock = new TestClock();
  const stores = [0, 1].map(() => new RedisStore({ url: redis.url, prefix: 'reset', clock }));
  const [here, elsewhere] = stores.map(
    (store) => new RateLimiter({ store, scopes: { page: '1/hour' }, timeoutMs }),
  );
  const target = { scope: 'page', identity: 'user:1' } as const;
  await here?.consume(target);
  expect((await here?.consume(target))?.allowed).toBe(false);
  await elsewhere?.reset({ identity: 'user:1' });
  const startMs = clock.now();
  while ((await here?.consume(target))?.allowed === false && clock.now() < startMs + 60_000)
    clock.advance(25);
  expect(clock.now() - startMs).toBeLessThan(1_200);
  for (const store of stores) store.close();
});
