import { once } from 'node:events';
import { get } from 'node:http';
import { jest } from '@jest/globals';
import { type CanActivate, type ExecutionContext, UseGuards } from '@nestjs/common';
import { RateLimit, type RateLimitModuleOptions, RateLimitStats } from 'nestjs-ratelimit';
import { RateLimitAdminModule } from 'nestjs-ratelimit/admin';
import { RedisStore } from 'nestjs-ratelimit/redis';
import {
  type AppOptions,
  AuthGuard,
  inOneHour,
  platforms,
  starter,
  statuses,
  type TestApp,
  withResolvers,
} from '../support/app.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { downStore } from '../support/stores.js';
import { until } from '../support/until.js';
import { Shop } from '../support/watched-shop.js';

const statsOf = ({ app }: TestApp) => app.get(RateLimitStats);

const SETUP: AppOptions = { controllers: [Shop], middleware: false, options: { statistics: true } };

beforeEach(inOneHour);

describe.each(platforms)('statistics on %s', (platform) => {
  const open = starter(platform, SETUP);

  test('count a request that another guard rejects as allowed', async () => {
    const app = await open({
      routes: {
        '/strict': [
          UseGuards(new AuthGuard(true)),
          RateLimit({ name: 'address', rate: '2/min' }),
          RateLimit({ name: 'user', rate: '5/min', key: 'user' }),
        ],
      },
    });
    expect(await statuses(app, 3, '/strict')).toEqual([403, 403, 429]);
    expect((await app.get('/strict', { as: 'alice', from: '203.0.113.7' })).status).toBe(200);
    const { currentHour, byUser } = await until('responses are closed', async () => {
      const snapshot = await statsOf(app).snapshot();
      return snapshot.currentHour.total === 4 && snapshot;
    });
    expect([currentHour.allowed, currentHour.denied, currentHour.uniqueClients]).toEqual([3, 1, 2]);
    expect(byUser).toEqual([{ user: 'user:alice', total: 1, denied: 0 }]);
  });

  test('count the address of a client that disconnects while another guard runs', async () => {
    const { promise: entered, resolve: enter } = withResolvers<void>();
    class Slow implements CanActivate {
      async canActivate(context: ExecutionContext): Promise<boolean> {
        const response = context.switchToHttp().getResponse();
        enter();
        await once(response.raw ?? response, 'close');
        return false;
      }
    }

    const app = await open({
      routes: { '/users': [UseGuards(new Slow()), RateLimit({ rate: '5/min', key: 'user' })] },
    });
    const request = get(`${app.url}/users`, { agent: false });
    request.on('error', () => undefined);
    await entered;
    request.destroy();
    const { currentHour } = await until('it is counted', async () => {
      const snapshot = await statsOf(app).snapshot();
      return snapshot.currentHour.total === 1 && snapshot;
    });
    expect([currentHour.allowed, currentHour.uniqueClients]).toEqual([1, 1]);
  });
});

describe('statistics', () => {
  const open = starter('express', SETUP);

  test('count each request of a limited route once, by route, limit, client and user', async () => {
    const app = await open();
    for (let i = 0; i < 5; i++) await app.get('/two', { from: '203.0.113.7' });
    for (let i = 0; i < 3; i++) await app.get('/two', { from: '2001:db8::1' });
    for (let i = 0; i < 2; i++) await app.get('/shadow');
    for (let i = 0; i < 3; i++) await app.get('/mine', { as: 'alice' });
    await app.get('/free');
    const { isComplete, currentHour, byRoute, byLimit, byUser, topDeniedClients, topDeniedRoutes } =
      await statsOf(app).snapshot();
    expect(isComplete).toBe(true);
    expect(currentHour).toMatchObject({
      total: 13,
      allowed: 7,
      denied: 6,
      shadowDenied: 1,
      degraded: 0,
      uniqueClients: 3,
    });
    expect(byRoute.map(({ route, total, denied }) => [route, total, denied])).toEqual([
      ['Shop.two', 8, 4],
      ['Shop.mine', 3, 2],
      ['Shop.shadow', 2, 0],
    ]);
    expect(byLimit.find(({ limit }) => limit === 'dry')).toMatchObject({
      total: 2,
      denied: 0,
      shadowDenied: 1,
    });
    expect(byUser).toEqual([{ user: 'user:alice', total: 3, denied: 2 }]);
    expect(topDeniedClients).toEqual([
      { identity: 'ip:203.0.113.7', denied: 3 },
      { identity: 'ip:127.0.0.1', denied: 2 },
      { identity: 'ip:2001:db8::/64', denied: 1 },
    ]);
    expect(topDeniedRoutes).toEqual([
      { route: 'Shop.two', denied: 4 },
      { route: 'Shop.mine', denied: 2 },
    ]);
  });

  test('name no user who was charged in combination with another key', async () => {
    const app = await open({
      routes: { '/both': [UseGuards(new AuthGuard()), RateLimit({ rate: '9/min', key: 'user+ip' })] },
    });
    expect((await app.get('/both', { as: 'alice' })).status).toBe(200);
    const { currentHour, byUser } = await statsOf(app).snapshot();
    expect([currentHour.allowed, byUser]).toEqual([1, []]);
  });

  test('count a request rejected because the store failed as denied and degraded, for no client', async () => {
    const app = await open({ options: { store: downStore(), statistics: true } });
    expect((await app.get('/closed')).status).toBe(503);
    expect((await app.get('/two')).status).toBe(200);
    const { currentHour, topDeniedClients } = await statsOf(app).snapshot();
    expect(currentHour).toMatchObject({ total: 2, allowed: 1, denied: 1, degraded: 2 });
    expect(topDeniedClients).toEqual([]);
  });

  test.each<RateLimitModuleOptions>([{}, { statistics: false }, { statistics: true, enabled: false }])(
    'count nothing with %j',
    async (options) => {
      const app = await open({ options });
      await app.get('/two');
      expect((await statsOf(app).snapshot()).currentHour.total).toBe(0);
    },
  );

  test('that are off are empty, and the log says how to turn them on', async () => {
    const app = await open({ options: {} });
    await app.get('/');
    const first = await statsOf(app).snapshot();
    await statsOf(app).snapshot();
    expect(first.currentHour.total).toBe(0);
    expect(app.logged).toEqual([
      'RateLimitStats: Statistics are off, so this process counts nothing. Set statistics: true for RateLimitModule.',
    ]);
  });

  test('are kept for keepHours', async () => {
    const app = await open({ options: { statistics: { keepHours: 3 } } });
    expect((await statsOf(app).snapshot()).hours).toHaveLength(3);
    await expect(statsOf(app).snapshot({ hours: 4 })).rejects.toThrow('Give a whole number from 1 to 3.');
  });

  test.each([{ keepHours: 0 }, { keepHours: '7' }, { keep: 3 }, 'yes', null])(
    'statistics: %j is an error',
    async (statistics) => {
      await expect(open({ options: { statistics } as never })).rejects.toThrow(
        'Give true, false or { keepHours: 168 }, with up to 744 hours.',
      );
    },
  );
});

describe('statistics of a fleet', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  const open = starter('express', SETUP);

  describe.each([
    ['off by default', undefined, false, false],
    ['on with the admin module', undefined, true, true],
    ['off with the admin module, if the options say so', false, true, false],
    ['on without it, if the options say so', true, false, true],
  ] as const)('are %s', (_, statistics, hasAdmin, isOn) => {
    test(
      isOn ? 'and written to Redis' : 'so that nothing is written to Redis, and no timer runs',
      async () => {
        const prefix = `statistics-${statistics}-${hasAdmin}`;
        const timers = jest.spyOn(globalThis, 'setInterval');
        const app = await open({
          options: { store: new RedisStore({ url: redis.url, prefix }), timeoutMs: 60_000, statistics },
          imports: hasAdmin ? [RateLimitAdminModule.forRoot({ allowUnguarded: true })] : [],
        });
        expect((await app.get('/two')).status).toBe(200);
        // Counts are written once a second.
        const writeTimers = timers.mock.calls.filter(([, ms]) => ms === 1_000);
        timers.mockRestore();
        expect(writeTimers).toHaveLength(isOn ? 1 : 0);
        if (hasAdmin) expect((await app.get('/admin/rate-limits/stats')).status).toBe(isOn ? 200 : 409);
        // Closing writes what is left.
        await app.app.close();
        const keys = await redis.cli('KEYS', `${prefix}:{stats*`);
        expect(keys !== '').toBe(isOn);
        expect(await redis.cli('KEYS', `${prefix}:*`)).not.toBe('');
      },
    );
  });

  test('include all processes, also those that have ended', async () => {
    // So patient that the store decides, however busy the machine is.
    const onRedis = () => ({
      options: {
        store: new RedisStore({ url: redis.url }),
        secret: 'of the fleet',
        timeoutMs: 60_000,
        statistics: true,
      },
    });
    const [one, other, third] = [await open(onRedis()), await open(onRedis()), await open(onRedis())];
    for (let i = 0; i < 3; i++) await one.get('/two', { from: '203.0.113.7' });
    for (let i = 0; i < 4; i++) await other.get('/two', { from: '203.0.113.8' });
    for (let i = 0; i < 2; i++) await third.get('/two', { from: '203.0.113.7' });
    await third.app.close();
    // On a busy machine a reply may be late; the snapshot then says that it is not complete.
    const complete = (app: TestApp) =>
      until('the store answers in time', async () => {
        const snapshot = await statsOf(app).snapshot();
        return snapshot.isComplete && snapshot;
      });
    const all = await until('all have written', async () => {
      const snapshot = await complete(one);
      return snapshot.currentHour.total === 9 && snapshot;
    });
    expect(all).toMatchObject({
      isComplete: true,
      currentHour: { allowed: 4, denied: 5, uniqueClients: 2 },
      topDeniedClients: [
        { identity: 'ip:203.0.113.7', denied: 3 },
        { identity: 'ip:203.0.113.8', denied: 2 },
      ],
    });
    expect((await complete(other)).currentHour.total).toBe(9);
  });
});
