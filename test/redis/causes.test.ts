import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Redis, type RedisOptions } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { RateLimit, RateLimiter } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { platforms, routes, serve as serveOn, starter, type TestApp } from '../support/app.js';
import { chargeOf } from '../support/charges.js';
import { closed } from '../support/closed.js';
import { OwnTime } from '../support/own-time.mjs';
import { freePort } from '../support/redis/ports.js';
import { FaultyProxy } from '../support/redis/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const Shop = routes({ '/five': RateLimit({ name: 'five', rate: '5/hour' }) });

const BACK_WITHIN_MS = 2_000;
const health = ({ app }: TestApp) => app.get(RateLimiter).health();

/** Waits until the store decides again, and checks that it took no longer than it may. */
async function backInTime(app: TestApp): Promise<void> {
  const time = new OwnTime();
  await until('the store decides again', async () => health(app).status === 'up');
  const backMs = time.stop();
  console.log(`back after ${Math.round(backMs)} ms`);
  expect(backMs).toBeLessThanOrEqual(BACK_WITHIN_MS);
}

const isDegraded = (app: TestApp) =>
  until('the breaker opens', async () => health(app).status === 'degraded');

/** Whether a request is one that Redis has counted. */
async function isCounted(app: TestApp, redis: RedisServer, password?: string): Promise<boolean> {
  const auth = password === undefined ? [] : ['-a', password, '--no-auth-warning'];
  await redis.cli(...auth, 'FLUSHALL');
  const { status } = await app.get('/five', { from: '203.0.113.9' });
  expect(status).toBe(200);
  return (await redis.cli(...auth, 'EXISTS', 'ratelimit:{ip:203.0.113.9}')) === '1';
}

const failures = (app: TestApp) => app.logged.filter((line) => line.includes('The store is failing'));

describe('a store that cannot decide', () => {
  const open = starter('fastify', { controllers: [Shop] });
  const serve = (options: { url: string } & RedisOptions) =>
    open({ options: { store: new RedisStore(options) } });

  test('A37 absent at start-up: the application starts at once, says so once, and enforces when it comes', async () => {
    const port = await freePort();
    const time = new OwnTime();
    const app = await serve({ url: `redis://127.0.0.1:${port}` });
    expect(time.stop()).toBeLessThan(1_500);
    await isDegraded(app);
    for (let i = 0; i < 5; i++) expect((await app.get('/five')).status).toBe(200);
    expect((await app.get('/five')).status).toBe(429);
    expect(failures(app)).toEqual([expect.stringMatching(/store: The store is failing.*ECONNREFUSED/)]);
    const redis = await startRedis({ port });
    await backInTime(app);
    expect(await isCounted(app, redis)).toBe(true);
    // What was admitted without it is not admitted again.
    expect((await app.get('/five')).status).toBe(429);
    expect(app.logged).toHaveLength(1);
  });

  test('A37 a wrong password', async () => {
    const redis = await startRedis();
    await redis.cli('CONFIG', 'SET', 'requirepass', 'right');
    const app = await serve({ url: redis.url, password: 'wrong' });
    await isDegraded(app);
    expect((await app.get('/five')).status).toBe(200);
    expect(failures(app)).toEqual([expect.stringMatching(/WRONGPASS|NOAUTH/)]);
    await redis.cli('-a', 'right', '--no-auth-warning', 'CONFIG', 'SET', 'requirepass', 'wrong');
    await backInTime(app);
    expect(await isCounted(app, redis, 'wrong')).toBe(true);
  });

  test('A37 a replica, which is read alone', async () => {
    const master = await startRedis();
    const redis = await startRedis();
    await redis.cli('REPLICAOF', master.host, master.port);
    const app = await serve({ url: redis.url });
    await isDegraded(app);
    expect((await app.get('/five')).status).toBe(200);
    expect(failures(app)).toEqual([expect.stringContaining('READONLY')]);
    await redis.cli('REPLICAOF', 'NO', 'ONE');
    await backInTime(app);
    expect(await isCounted(app, redis)).toBe(true);
  });

  test('A37 a server without memory', async () => {
    const redis = await startRedis({ config: ['maxmemory 1'] });
    const app = await serve({ url: redis.url });
    await isDegraded(app);
    expect((await app.get('/five')).status).toBe(200);
    expect(failures(app)).toEqual([expect.stringContaining('OOM')]);
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    await backInTime(app);
    expect(await isCounted(app, redis)).toBe(true);
  });

  test('A37 a server that is loading its data', async () => {
    const redis = await startRedis({
      config: [
        'key-load-delay 2000',
        'loading-process-events-interval-bytes 1024',
        'enable-debug-command yes',
      ],
    });
    const app = await serve({ url: redis.url });
    for (let i = 0; i < 1_000; i += 250) {
      const keys = Array.from({ length: 250 }, (_, at) => [`key:${i + at}`, 'x']).flat();
      await redis.cli('MSET', ...keys);
    }
    const loading = redis.cli('DEBUG', 'RELOAD');
    await until('it is loading', () => redis.info('loading').then((is) => is?.startsWith('1')));
    for (let i = 0; i < 5; i++) expect((await app.get('/five', { from: `203.0.113.${i}` })).status).toBe(200);
    await isDegraded(app);
    await loading;
    await backInTime(app);
    expect(await isCounted(app, redis)).toBe(true);
  });

  test('A37 a server that is busy with a script', async () => {
    const redis = await startRedis({ config: ['busy-reply-threshold 10'] });
    const app = await serve({ url: redis.url });
    expect(await isCounted(app, redis)).toBe(true);
    const endless = redis.cli('EVAL', 'while true do end', 0).catch((error: Error) => error);
    await until('it is busy', () =>
      redis.cli('PING').then(
        () => false as const,
        () => true,
      ),
    );
    for (let i = 0; i < 6; i++) expect((await app.get('/five', { from: `203.0.113.${i}` })).status).toBe(200);
    await isDegraded(app);
    await redis.cli('SCRIPT', 'KILL');
    await endless;
    await backInTime(app);
    expect(await isCounted(app, redis)).toBe(true);
  });

  test.each<[string, (port: number) => Redis | Redis5]>([
    ['ioredis 6', (port) => new Redis(port, '127.0.0.1', ONCE)],
    ['ioredis 5', (port) => new Redis5(port, '127.0.0.1', ONCE)],
  ])('A37 a client of the application, %s: within two seconds of its `ready`', async (_name, connect) => {
    const redis = await startRedis();
    const client = connect(redis.port);
    client.on('error', () => undefined);
    const app = await open({ options: { store: new RedisStore(client) } });
    expect(await isCounted(app, redis)).toBe(true);
    await redis.kill();
    for (let i = 0; i < 5; i++) expect((await app.get('/five', { from: `203.0.113.${i}` })).status).toBe(200);
    await isDegraded(app);
    const ready = new Promise((resolve) => client.once('ready', resolve));
    await redis.start();
    await ready;
    await backInTime(app);
    expect(await isCounted(app, redis)).toBe(true);
    await app.close();
    expect(client.status).toBe('ready');
    expect(client.listenerCount('ready')).toBe(0);
    client.disconnect();
  });
});

/** As a client of an application is to be made. */
const ONCE = { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 };

test('a store that is never used connects to nothing', async () => {
  const connections: Socket[] = [];
  const server = createServer((socket) => connections.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const store = new RedisStore({ url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` });
  // One that is used connects meanwhile.
  const other = new RedisStore({ url: (await startRedis()).url });
  await other.consume([chargeOf()]);
  expect(connections).toEqual([]);
  other.close();
  store.close();
  server.close();
});

test('A38 a server that answers nothing is not called once the breaker has opened, but for one probe at a time', async () => {
  const proxy = await FaultyProxy.start(await startRedis());
  // Connected for ever, so that all that the store sends is received.
  const client = new Redis(proxy.url, ONCE);
  client.on('error', () => undefined);
  const app = await serveOn('fastify', {
    controllers: [Shop],
    options: { store: new RedisStore(client), timeoutMs: 50 },
  });
  expect((await app.get('/five')).status).toBe(200);
  await proxy.become('silent');
  await Promise.all(Array.from({ length: 20 }, (_, at) => app.get('/five', { from: `203.0.113.${at}` })));
  await isDegraded(app);
  const callsBefore = await proxy.calls();
  const time = new OwnTime();
  const start = performance.now();
  let requests = 0;
  while (time.now() < 3_000) {
    expect([200, 429]).toContain((await app.get('/five', { from: `203.0.113.${requests++ % 50}` })).status);
  }
  time.stop();
  const callsIn3s = (((await proxy.calls()) - callsBefore) * 3_000) / (performance.now() - start);
  console.log(`${requests} requests, ${callsIn3s.toFixed(1)} calls of the store in 3 s`);
  expect(requests).toBeGreaterThan(100);
  expect(callsIn3s).toBeGreaterThan(1);
  expect(callsIn3s).toBeLessThanOrEqual(10);
  expect(health(app).shards).toEqual([
    expect.objectContaining({ shard: '', error: 'The store did not respond within 50 ms.' }),
  ]);
  await app.close();
  client.disconnect();
  proxy.close();
});

describe.each(platforms)('A42 the process exits by itself after app.close() on %s', (platform) => {
  const said = 'used: 200\nanswered: 200\nclosed\n';

  test('with a server that answers', async () => {
    expect(await closed(platform, (await startRedis()).url)).toEqual({ said, code: 0 });
  });

  test('with no server', async () => {
    expect(await closed(platform, `redis://127.0.0.1:${await freePort()}`)).toEqual({ said, code: 0 });
  });

  test('with a server that answers nothing', async () => {
    const proxy = await FaultyProxy.start(await startRedis());
    await proxy.become('silent');
    expect(await closed(platform, proxy.url)).toEqual({ said, code: 0 });
  });
});
