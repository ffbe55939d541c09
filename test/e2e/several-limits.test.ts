import { Controller, Get, UseGuards } from '@nestjs/common';
import { RateLimit, RateLimiter, SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import {
  AuthGuard,
  moduleOf,
  routes,
  starter,
  statuses,
  type TestApp,
  throwing,
  times,
} from '../support/app.js';

const Staffed = routes({ '/': RateLimit('2/min') });

describe('several limits', () => {
  const start = starter('fastify');

  test('A18 a request that 3/s denies is not charged to 6/min, which later denies too', async () => {
    const app = await start({
      routes: {
        '/': [RateLimit({ name: 'second', rate: '3/s' }), RateLimit({ name: 'minute', rate: '6/min' })],
      },
    });
    expect(await statuses(app, 3, '/')).toEqual(times(3, 200));
    const fourth = await app.get('/');
    expect([fourth.status, fourth.headers.get('retry-after')]).toEqual([429, '1']);
    expect(fourth.json.details.throttle_type).toBe('second');
    expect(fourth.headers.get('ratelimit')).toContain('"minute";r=3');
    app.clock.advance('1s');
    expect(await statuses(app, 3, '/')).toEqual(times(3, 200));
    app.clock.advance('1s');
    const seventh = await app.get('/');
    expect([seventh.status, seventh.json.details.throttle_type]).toEqual([429, 'minute']);
    expect(seventh.headers.get('retry-after')).toBe('58');
  });

  test('a limit with an asynchronous key is decided together with the others', async () => {
    const app = await start({
      routes: {
        '/': [
          RateLimit({ name: 'before', rate: '9/min' }),
          RateLimit({ name: 'later', rate: '8/min', key: async () => 'tenant:1' }),
          RateLimit({ name: 'after', rate: '7/min' }),
        ],
      },
    });
    expect(await statuses(app, 2, '/')).toEqual([200, 200]);
    expect((await app.get('/')).headers.get('ratelimit')).toBe(
      '"before";r=6;t=60, "later";r=5;t=60, "after";r=4;t=60',
    );
  });

  test('A21 handlers have separate buckets; with the same scope they share one', async () => {
    const app = await start({
      routes: {
        '/a': RateLimit('2/min'),
        '/b': RateLimit('2/min'),
        '/c': ThrottleScope('shared'),
        '/d': ThrottleScope('shared'),
      },
      options: { scopes: { shared: '2/min' } },
    });
    expect(await statuses(app, 3, '/a')).toEqual([200, 200, 429]);
    expect(await statuses(app, 3, '/b')).toEqual([200, 200, 429]);
    expect(await statuses(app, 1, '/c')).toEqual([200]);
    expect(await statuses(app, 2, '/d')).toEqual([200, 429]);
    expect((await app.get('/c')).json.details.throttle_type).toBe('shared');
  });

  /** Returns two modules, each with a controller of the same name. */
  const twins = (
    moduleNames: readonly [string, string],
    limits: MethodDecorator[],
    onClass: ClassDecorator[],
  ) =>
    ['one', 'two'].map((path, i) => {
      const controller = routes({ [`/${path}/get`]: limits }, { decorators: onClass });
      return moduleOf({ controllers: [controller] }, moduleNames[i]);
    });
  const ofEach = async (app: TestApp) => [
    await statuses(app, 2, '/one/get'),
    await statuses(app, 2, '/two/get'),
  ];

  test('A21 controllers of the same name in different modules have separate buckets', async () => {
    const app = await start({ imports: twins(['OneModule', 'TwoModule'], [RateLimit('1/min')], []) });
    expect(await ofEach(app)).toEqual([
      [200, 429],
      [200, 429],
    ]);
  });

  test('two controllers whose own and module names are the same are an error if they have their own limits', async () => {
    const names = ['TwinModule', 'TwinModule'] as const;
    for (const imports of [twins(names, [RateLimit('1/min')], []), twins(names, [], [RateLimit('1/min')])])
      await expect(start({ imports })).rejects.toThrow(
        '[ambiguous-bucket] Shop.get: Another class is called TwinModule.Shop',
      );
    const limits = [{ name: 'all', rate: '3/min' }] as const;
    const app = await start({ imports: twins(names, [], []), options: { limits } });
    expect(await ofEach(app)).toEqual([
      [200, 200],
      [200, 429],
    ]);
  });

  test('A22 scopes are independent, and a route without limits is never limited', async () => {
    const app = await start({
      routes: { '/x': ThrottleScope('x'), '/y': ThrottleScope('y'), '/free': [] },
      options: { scopes: { x: '3/min', y: '1/min' } },
    });
    expect(await statuses(app, 2, '/y')).toEqual([200, 429]);
    expect(await statuses(app, 4, '/x')).toEqual([200, 200, 200, 429]);
    expect(await statuses(app, 20, '/free')).toEqual(times(20, 200));
    expect((await app.get('/free')).headers.get('ratelimit')).toBeNull();
  });

  test('A23 200 requests of an exempt caller pass, without charges and headers', async () => {
    const app = await start({
      controllers: [Staffed],
      options: { exempt: (context) => context.user?.isStaff === true },
    });
    expect(await statuses(app, 200, '/', { as: 'staff' })).toEqual(times(200, 200));
    expect(
      [...(await app.get('/', { as: 'staff' })).headers.keys()].filter((name) => name.includes('ratelimit')),
    ).toEqual([]);
    expect(app.store.size).toBe(0);
    expect(await statuses(app, 3, '/', { as: 'alice' })).toEqual([200, 200, 429]);
  });

  test.each([
    ['a promise of true', async () => true, times(4, 200)],
    ['a promise of false', async () => false, [200, 200, 429, 429]],
    ['false', () => false, [200, 200, 429, 429]],
  ])('an exempt function that returns %s', async (_what, exempt, expected) => {
    const app = await start({ controllers: [Staffed], options: { exempt } });
    expect(await statuses(app, 4, '/')).toEqual(expected);
    expect(app.store.size).toBe(expected.includes(429) ? 1 : 0);
    expect(app.logged).toEqual([]);
  });

  test.each([
    ['rejects', () => Promise.reject(new Error('no roles'))],
    ['throws', throwing(new Error('no roles'))],
  ])('an exempt function that %s exempts nobody, and is logged', async (_how, exempt) => {
    const app = await start({ controllers: [Staffed], options: { exempt } });
    expect(await statuses(app, 4, '/', { as: 'staff' })).toEqual([200, 200, 429, 429]);
    expect(app.logged).toEqual([expect.stringMatching(/so the client is not exempt\..*no roles/)]);
  });

  test('limits of the module, the class and the method add up', async () => {
    const app = await start({
      controllers: [
        routes(
          { '/a': RateLimit({ name: 'method', rate: '2/min' }), '/b': [] },
          { decorators: [RateLimit({ name: 'class', rate: '4/min' })] },
        ),
        routes({ '/other': [] }),
      ],
      options: { limits: [{ name: 'module', rate: '6/min' }] },
    });
    const bound = async (path: string) => {
      const { status, json } = await app.get(path);
      return status === 429 ? json.details.throttle_type : status;
    };
    expect([await bound('/a'), await bound('/a'), await bound('/a')]).toEqual([200, 200, 'method']);
    expect([await bound('/b'), await bound('/b'), await bound('/b')]).toEqual([200, 200, 'class']);
    expect([await bound('/other'), await bound('/other'), await bound('/other')]).toEqual([
      200,
      200,
      'module',
    ]);
    expect((await app.get('/a')).headers.get('ratelimit-policy')).toBe(
      '"module";q=6;w=60, "class";q=4;w=60, "method";q=2;w=60',
    );
  });

  test('a module limit has one bucket for all routes, with per: route one for each', async () => {
    const Routes = routes({ '/a': [], '/b': [] });
    const shared = await start({
      controllers: [Routes],
      options: { limits: [{ name: 'all', rate: '2/min' }] },
    });
    expect([...(await statuses(shared, 2, '/a')), ...(await statuses(shared, 1, '/b'))]).toEqual([
      200, 200, 429,
    ]);
    const each = await start({
      controllers: [Routes],
      options: { limits: [{ name: 'each', rate: '2/min', per: 'route' }] },
    });
    expect([...(await statuses(each, 3, '/a')), ...(await statuses(each, 3, '/b'))]).toEqual([
      200, 200, 429, 200, 200, 429,
    ]);
  });

  test('a limit closer to the method overrides one with the same name, with a separate bucket', async () => {
    const app = await start({
      controllers: [
        routes(
          { '/tight': RateLimit({ name: 'burst', rate: '1/min' }), '/class': [] },
          { decorators: [RateLimit({ name: 'burst', rate: '3/min' })] },
        ),
        routes({ '/far': [] }),
      ],
      options: { limits: [{ name: 'burst', rate: '5/min' }] },
    });
    expect(await statuses(app, 2, '/tight')).toEqual([200, 429]);
    expect(await statuses(app, 4, '/class')).toEqual([...times(3, 200), 429]);
    expect(await statuses(app, 6, '/far')).toEqual([...times(5, 200), 429]);
  });

  test('SkipRateLimit removes outer limits, all or by name, and keeps the limits of its own level', async () => {
    const app = await start({
      routes: {
        '/inner/own': [SkipRateLimit(), RateLimit({ name: 'own', rate: '2/min' })],
        '/inner/one': SkipRateLimit('class', 'daily'),
        '/inner/none': [SkipRateLimit('class'), SkipRateLimit('daily')],
        '/inner/class': [],
        'POST /inner/all': SkipRateLimit(),
      },
      decorators: [SkipRateLimit('burst'), RateLimit({ name: 'class', rate: '4/min' })],
      options: {
        limits: [
          { name: 'burst', rate: '3/min' },
          { name: 'daily', rate: '1000/day' },
        ],
      },
    });
    const policies = async (path: string, method = 'GET') =>
      (await app.get(path, { method })).headers.get('ratelimit-policy')?.replaceAll(/;q=\d+;w=\d+/g, '') ??
      null;
    expect(await policies('/inner/own')).toBe('"own"');
    expect(await policies('/inner/one')).toBeNull();
    expect(await policies('/inner/none')).toBeNull();
    expect(await policies('/inner/class')).toBe('"daily", "class"');
    expect(await policies('/inner/all', 'POST')).toBeNull();
  });

  test('decorators stack and are inherited by subclasses, and a subclass has separate buckets', async () => {
    @RateLimit('10/min')
    class Base {
      @Get('stacked') @RateLimit('5/min') @RateLimit('3/min') stacked() {
        return 'ok';
      }
    }
    @Controller('left')
    class Left extends Base {}
    @Controller('right')
    @RateLimit('8/min')
    class Right extends Base {}
    const app = await start({ controllers: [Left, Right] });
    expect((await app.get('/left/stacked')).headers.get('ratelimit-policy')).toBe(
      '"class-0";q=10;w=60, "stacked-0";q=5;w=60, "stacked-1";q=3;w=60',
    );
    expect((await app.get('/right/stacked')).headers.get('ratelimit-policy')).toBe(
      '"class-0";q=10;w=60, "class-1";q=8;w=60, "stacked-0";q=5;w=60, "stacked-1";q=3;w=60',
    );
    expect(await statuses(app, 3, '/left/stacked')).toEqual([200, 200, 429]);
    expect(await statuses(app, 3, '/right/stacked')).toEqual([200, 200, 429]);
  });

  test('A25 sliding-window 10/min under one request a second keeps admitting about ten a minute', async () => {
    const app = await start({ routes: { '/': RateLimit('10/min') } });
    for (let minute = 0; minute < 4; minute++) {
      let admitted = 0;
      for (let second = 0; second < 60; second++) {
        if ((await app.get('/')).status === 200) admitted++;
        app.clock.advance('1s');
      }
      expect(admitted).toBe(10);
    }
  });

  test('A26 requests at 0, 20, 40, 60 and 80 seconds at 3/min are never denied', async () => {
    const app = await start({ routes: { '/': RateLimit('3/min') } });
    for (let i = 0; i < 5; i++) {
      expect((await app.get('/')).status).toBe(200);
      app.clock.advance('20s');
    }
  });

  test('A29 Retry-After of a token bucket is exact to the second', async () => {
    const app = await start({
      routes: {
        '/': RateLimit({
          rate: '30/min',
          algorithm: 'token-bucket',
          burst: 10,
          cost: ({ request }) => Number((request.query as { cost: string }).cost),
        }),
      },
    });
    const first = await app.get('/?cost=7');
    expect([first.headers.get('x-ratelimit-limit'), first.headers.get('x-ratelimit-remaining')]).toEqual([
      '10',
      '3',
    ]);
    expect(first.headers.get('ratelimit-policy')).toBe('"get-0";q=10;w=20');
    const denied = await app.get('/?cost=5');
    expect([denied.status, denied.headers.get('retry-after')]).toEqual([429, '4']);
    app.clock.advance('4s');
    expect((await app.get('/?cost=5')).status).toBe(200);
    app.clock.advance(1_400);
    expect((await app.get('/?cost=1')).headers.get('retry-after')).toBe('1');
    app.clock.advance(600);
    expect((await app.get('/?cost=1')).status).toBe(200);
  });

  test('A31 a burst across the boundary of two windows passes fixed-window but not sliding-window', async () => {
    const app = await start({
      routes: {
        '/fixed': RateLimit({ rate: '5/min', algorithm: 'fixed-window' }),
        '/sliding': RateLimit('5/min'),
      },
    });
    for (const [path, expected] of [
      ['/fixed', times(5, 200)],
      ['/sliding', [200, ...times(4, 429)]],
    ] as const) {
      await app.get(path);
      app.clock.advance('59s');
      expect(await statuses(app, 4, path)).toEqual(times(4, 200));
      app.clock.advance('1s');
      expect(await statuses(app, 5, path)).toEqual(expected);
    }
  });

  test('the module sets the default key and algorithm', async () => {
    const app = await start({
      routes: { '/': RateLimit('2/min') },
      options: { key: 'global', algorithm: 'fixed-window' },
    });
    expect((await app.get('/', { from: '203.0.113.1' })).status).toBe(200);
    app.clock.advance('59s');
    expect((await app.get('/', { from: '203.0.113.2' })).status).toBe(200);
    app.clock.advance('1s');
    expect(await statuses(app, 3, '/', { from: '203.0.113.3' })).toEqual([200, 200, 429]);
  });

  test('A32 a shadow limit denies nobody and is in no header', async () => {
    const app = await start({
      routes: {
        '/': [
          RateLimit({ name: 'shadow', rate: '2/min', shadow: true }),
          RateLimit({ name: 'real', rate: '10/min' }),
        ],
      },
    });
    expect(await statuses(app, 6, '/')).toEqual(times(6, 200));
    expect((await app.get('/')).headers.get('ratelimit')).toBe('"real";r=3;t=60');
  });

  test('a denial by a shadow limit is logged at most once a minute, with the name of the limit', async () => {
    const app = await start({
      routes: {
        '/': [
          RateLimit({ name: 'dry run', rate: '2/min', shadow: true }),
          RateLimit({ name: 'real', rate: '4/min' }),
        ],
        '/staged': [
          UseGuards(new AuthGuard()),
          RateLimit({ name: 'users', rate: '1/min', key: 'user', shadow: true }),
          RateLimit({ name: 'all', rate: '99/min' }),
        ],
      },
    });
    await statuses(app, 2, '/');
    expect(app.denials).toEqual([]);
    expect(await statuses(app, 4, '/')).toEqual([200, 200, 429, 429]);
    const message = 'Shadow rate limit exceeded';
    const exceeded = { message: 'Rate limit exceeded', limit: 'real' };
    expect(app.denials).toMatchObject([
      { message, route: 'Shop.get', limit: 'dry run', client: 'ip:127.0.0.1' },
      exceeded,
    ]);
    expect(await statuses(app, 3, '/staged', { as: 'alice' })).toEqual(times(3, 200));
    expect(app.denials.slice(2)).toMatchObject([
      { message, route: 'Shop.staged', limit: 'users', client: 'user:alice' },
    ]);
    expect(app.logged).toEqual([]);
  });

  test('A34 with enabled: false, everything passes and nothing is stored', async () => {
    const app = await start({
      routes: { '/': RateLimit('1/min') },
      options: {
        enabled: false,
        limits: [{ name: 'burst', rate: '1/min' }],
        scopes: { mail: '1/min' },
      },
    });
    expect(await statuses(app, 20, '/')).toEqual(times(20, 200));
    expect((await app.get('/')).headers.get('x-ratelimit-limit')).toBeNull();
    const limiter = app.app.get(RateLimiter);
    await limiter.block({ identity: 'customer:42', for: '1h' });
    for (const ask of ['consume', 'peek', 'consume', 'consume'] as const) {
      expect(await limiter[ask]({ scope: 'mail', identity: 'customer:42' })).toMatchObject({
        allowed: true,
        skipped: true,
        decidedBy: null,
      });
    }
    await expect(limiter.consume({ scope: 'post', identity: 'customer:42' })).rejects.toThrow(
      '[unknown-scope]',
    );
    expect(app.store.size).toBe(0);
  });
});
