import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  type HttpException,
} from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { MessagePattern } from '@nestjs/microservices';
import {
  RateLimit,
  RateLimitForbiddenException,
  type RateLimitModuleOptions,
  SkipRateLimit,
} from 'nestjs-ratelimit';
import {
  configErrorOf,
  type Platform,
  platforms,
  routes,
  starter,
  statuses,
  throwing,
  times,
} from '../support/app.js';
import { gateway, graphqlModule, openSocket, overTcp, overWs, startTcp } from '../support/transports.js';

const Listed = routes({ '/limited': RateLimit('1/min'), '/open': [], '/skipped': SkipRateLimit() });

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(resolve, value));

const withLists = (platform: Platform) => {
  const start = starter(platform, { controllers: [Listed] });
  const startWith = (options: RateLimitModuleOptions) => start({ options });

  return { start, startWith };
};

describe.each(platforms)('allow and deny lists on %s', (platform) => {
  const { startWith, start } = withLists(platform);

  test('A40 a denied address gets a 403 on the first request, also on routes without limits', async () => {
    const app = await startWith({ deny: ['203.0.113.7', '2001:db8::/32'] });
    for (const from of ['203.0.113.7', '::ffff:203.0.113.7', '2001:db8:1::1']) {
      for (const path of ['/limited', '/open', '/skipped']) {
        const answer = await app.get(path, { from });
        expect([path, answer.status]).toEqual([path, 403]);
        expect(answer.json).toEqual({
          statusCode: 403,
          error: 'rate_limit_forbidden',
          message: 'Requests from here are not accepted.',
        });
        expect(answer.headers.get('x-ratelimit-limit')).toBeNull();
        expect(answer.headers.get('retry-after')).toBeNull();
        expect(answer.headers.get('cache-control')).toBe('no-store');
      }
    }
    expect(app.store.size).toBe(0);
    expect(await statuses(app, 2, '/limited', { from: '203.0.113.8' })).toEqual([200, 429]);
    expect((await app.get('/open', { from: '2001:db9::1' })).status).toBe(200);
  });

  test('lists use the address that trustProxy finds', async () => {
    const app = await startWith({ trustProxy: 1, deny: ['203.0.113.7'], allow: ['127.0.0.1'] });
    expect((await app.get('/open', { from: '1.1.1.1, 203.0.113.7' })).status).toBe(403);
    expect(await statuses(app, 2, '/limited', { from: '203.0.113.7, 1.1.1.1' })).toEqual([200, 429]);
    expect(await statuses(app, 2, '/limited', { from: '127.0.0.1, 1.1.1.1' })).toEqual([429, 429]);
    expect(await statuses(app, 2, '/limited')).toEqual([200, 200]);
  });

  test('a filter of the application gets RateLimitForbiddenException', async () => {
    const caught: unknown[] = [];
    @Catch(RateLimitForbiddenException)
    class Audit implements ExceptionFilter<HttpException> {
      catch(exception: HttpException, host: ArgumentsHost) {
        caught.push(exception);
        const response = host.switchToHttp().getResponse();
        response.status(exception.getStatus()).send({ own: true });
      }
    }
    const app = await start({
      options: { deny: ['127.0.0.1'] },
      prepare: (nest) => void nest.useGlobalFilters(new Audit()),
    });
    const answer = await app.get('/limited');
    expect([answer.status, answer.json]).toEqual([403, { own: true }]);
    expect(caught[0]).toBeInstanceOf(RateLimitForbiddenException);
  });
});

describe('allow and deny lists', () => {
  const { startWith, start } = withLists('express');

  test('A40 an allowed address is not charged and sees no headers', async () => {
    const app = await startWith({ allow: ['203.0.113.0/24'] });
    expect(await statuses(app, 20, '/limited', { from: '203.0.113.7' })).toEqual(times(20, 200));
    expect((await app.get('/limited', { from: '203.0.113.7' })).headers.get('x-ratelimit-limit')).toBeNull();
    expect(app.store.size).toBe(0);
    expect(await statuses(app, 2, '/limited', { from: '203.0.114.7' })).toEqual([200, 429]);
  });

  test('A40 on both lists: denied', async () => {
    const app = await startWith({ allow: ['203.0.113.0/24'], deny: ['203.0.113.7'] });
    expect(await statuses(app, 2, '/limited', { from: '203.0.113.7' })).toEqual([403, 403]);
    expect(await statuses(app, 3, '/limited', { from: '203.0.113.8' })).toEqual(times(3, 200));
  });

  test('A40 synchronous and asynchronous functions beside addresses', async () => {
    const app = await startWith({
      allow: ['203.0.113.1', ({ user }) => later(user?.isStaff === true)],
      deny: [
        ({ header }) => header('user-agent') === 'BadBot/1.0',
        async ({ user }) => later(user?.id === 'bob'),
      ],
    });
    const bot = { headers: { 'user-agent': 'BadBot/1.0' } };
    expect((await app.get('/open', bot)).status).toBe(403);
    expect((await app.get('/open', { as: 'bob' })).status).toBe(403);
    expect(await statuses(app, 3, '/limited', { as: 'staff' })).toEqual(times(3, 200));
    expect((await app.get('/limited', { as: 'staff', ...bot })).status).toBe(403);
    expect(await statuses(app, 3, '/limited', { from: '203.0.113.1' })).toEqual(times(3, 200));
    expect(await statuses(app, 2, '/limited', { as: 'alice' })).toEqual([200, 429]);
  });

  test('a function that fails, or returns anything but true, matches nobody, and this is logged once', async () => {
    const app = await startWith({
      deny: [
        throwing(new Error('no database')),
        () => 'yes' as never,
        ({ header }) => header('x-bad') === '1',
      ],
      allow: [() => Promise.reject(new Error('no cache')), () => 1 as never],
    });
    expect(await statuses(app, 3, '/limited')).toEqual([200, 429, 429]);
    expect((await app.get('/open', { headers: { 'x-bad': '1' } })).status).toBe(403);
    expect(app.logged.filter((line) => line.includes('list failed'))).toEqual([
      expect.stringContaining('no database'),
      expect.stringContaining('no cache'),
    ]);
  });

  test('A34 enabled: false denies nobody', async () => {
    const app = await startWith({ enabled: false, deny: ['127.0.0.1'] });
    expect(await statuses(app, 2, '/limited')).toEqual([200, 200]);
  });

  test('an invalid entry is an error at start-up', async () => {
    const error = await configErrorOf(
      startWith({
        allow: ['10.0.0.0/33', 'somewhere'],
        deny: ['10.0.0.1', 42 as never],
      }),
    );
    expect(error.problems.map(({ code, source, message }) => `${code} ${source} ${message}`)).toEqual([
      'bad-address allow "10.0.0.0/33" is not an address or a network.',
      'bad-option deny 42 cannot be on a list.',
    ]);
    await expect(startWith({ deny: '10.0.0.1' as never })).rejects.toThrow('[bad-option]');
    await expect(startWith({ deny: ['constructor'] })).rejects.toThrow('[bad-address]');
  });

  test('a denied GraphQL field is an error with a code', async () => {
    @Resolver()
    class Hello {
      @Query(() => String) hello(): string {
        return 'hello';
      }
    }
    const app = await start({
      controllers: [],
      imports: [graphqlModule()],
      providers: [Hello],
      options: { deny: ['203.0.113.7'] },
    });
    const ask = async (from: string) =>
      (await app.get('/graphql', { method: 'POST', body: { query: '{ hello }' }, from })).json;
    expect((await ask('203.0.113.7')).errors[0]).toMatchObject({
      message: 'Requests from here are not accepted.',
      extensions: { code: 'FORBIDDEN', error: 'rate_limit_forbidden' },
    });
    expect((await ask('203.0.113.8')).data).toEqual({ hello: 'hello' });
  });
});

describe('lists of other transports', () => {
  const start = starter('express');

  test('a denied WebSocket message is an exception event', async () => {
    const app = await start({
      providers: [gateway(RateLimit('1/min'))],
      options: { deny: ['127.0.0.1'] },
      prepare: overWs,
    });
    const socket = await openSocket(app);
    expect(await socket.say('hello')).toMatchObject({
      event: 'exception',
      data: { error: 'rate_limit_forbidden' },
    });
    expect(app.store.size).toBe(0);
    socket.close();
  });

  test('a denied message of a microservice is an error of the transport', async () => {
    @Controller()
    class Sums {
      @MessagePattern('sum') @RateLimit('10/min') sum(): number {
        return 6;
      }
    }
    const app = await start({
      controllers: [Sums],
      options: { deny: ['127.0.0.1'] },
      prepare: overTcp(true),
    });
    const { send, close } = await startTcp(app);
    await expect(send('sum')).rejects.toMatchObject({ error: 'rate_limit_forbidden' });
    await close();
  });
});
