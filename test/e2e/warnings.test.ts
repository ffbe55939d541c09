import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  byLoad,
  RateLimit,
  RateLimitGuard,
  RateLimitModule,
  type RateLimitOptions,
  SkipRateLimit,
  ThrottleScope,
} from 'nestjs-ratelimit';
import {
  type AppOptions,
  AuthGuard,
  authenticate,
  type Handlers,
  platforms,
  starter,
  statuses,
  times,
} from '../support/app.js';

@Injectable()
class StrictGuard extends AuthGuard {
  constructor() {
    super(true);
  }
}

const unregistered: AppOptions['root'] = (store) => RateLimitModule.forRoot({ store, registerGuard: false });

describe('warnings at start-up', () => {
  const start = starter('express', { middleware: false });
  const warningsOf = async (options: AppOptions) => {
    const { logged, warned } = await start(options);
    expect(logged).toEqual(warned);
    return warned;
  };

  const tightAndWide: AppOptions['options'] = {
    limits: [
      { name: 'tight', rate: '5/min' },
      { name: 'wide', rate: '10/min' },
    ],
  };

  test.each<[string, AppOptions, unknown[]]>([
    [
      'name a static limit that can never deny',
      {
        routes: {
          '/a': RateLimit({ name: 'wide', rate: '100/min' }),
          '/b': RateLimit({ name: 'dear', rate: '100/hour', cost: 2 }),
          '/c': RateLimit({ name: 'short', rate: '50/s' }),
          '/d': RateLimit({ name: 'other-key', rate: '100/min', key: 'global' }),
          '/e': RateLimit({ name: 'bucket', rate: '100/min', algorithm: 'token-bucket' }),
        },
        options: { limits: [{ name: 'burst', rate: '60/min' }] },
      },
      [
        'The limit "wide" of Shop.a has no effect: "burst" of limits[0] always denies first. Remove one of them.',
      ],
    ],
    [
      'name one of two equal limits',
      { routes: { '/': ['first', 'second'].map((name) => RateLimit({ name, rate: '10/min' })) } },
      [expect.stringContaining('has no effect')],
    ],
    [
      'do not name a limit that denies on one route, because the tighter one is skipped there',
      { routes: { '/both': [], '/wide': SkipRateLimit('tight') }, options: tightAndWide },
      [],
    ],
    [
      'name a limit of the module if the tighter one is skipped nowhere',
      { routes: { '/both': [] }, options: tightAndWide },
      [expect.stringContaining('The limit "wide" of limits[1] has no effect')],
    ],
    [
      'do not name a limit if different limits deny first on different routes',
      {
        decorators: [
          RateLimit({ name: 'inner', rate: '8/min' }),
          RateLimit({ name: 'class', rate: '10/min' }),
        ],
        routes: { '/a': SkipRateLimit('outer'), '/b': SkipRateLimit('inner') },
        options: { limits: [{ name: 'outer', rate: '9/min' }] },
      },
      [],
    ],
    [
      'do not name a limit if the tighter one applies only to some methods or conditions',
      {
        routes: {
          '/methods': [
            RateLimit({ name: 'all', rate: '10/min' }),
            RateLimit({ name: 'writes', rate: '1/min', methods: ['POST'] }),
          ],
          '/when': [
            RateLimit({ name: 'all', rate: '10/min' }),
            RateLimit({ name: 'some', rate: '1/min', when: () => false }),
          ],
        },
      },
      [],
    ],
    [
      'name a limit that starts blocks, but is too high to be exact',
      {
        routes: {
          '/a': RateLimit({ name: 'high', rate: '1001/min', block: '1min' }),
          '/b': RateLimit({ rate: '1000/min', block: '1min' }),
          '/c': RateLimit({ rate: '1001/min', block: '1min', algorithm: 'fixed-window' }),
          '/d': RateLimit('1001/min'),
        },
      },
      [expect.stringMatching(/^The limit "high" of Shop.a may block a client .* at most 1000/)],
    ],
    [
      'name a limit that denies every request because of its cost',
      {
        routes: {
          '/dear': RateLimit({ name: 'dear', rate: '5/min', cost: 6 }),
          '/fits': RateLimit({ rate: '5/min', cost: 5 }),
          '/closed': RateLimit('0/min'),
          '/asked': RateLimit({ rate: '5/min', cost: () => 6 }),
          '/shadow': RateLimit({ rate: '5/min', cost: 6, shadow: true }),
        },
      },
      [
        'The limit "dear" of Shop.dear denies every request: each costs 6, and the limit admits at most 5. Lower the cost or raise the limit.',
      ],
    ],
    [
      'are not logged for a correct configuration',
      {
        routes: { '/': [RateLimit('10/min'), ThrottleScope('shared')] },
        options: {
          scopes: { shared: '1000/day' },
          limits: [
            { name: 'anon', rate: '100/hour', key: 'anon' },
            { name: 'user', rate: '1000/hour', key: 'user' },
            { name: 'burst', rate: '60/min', key: 'user|ip' },
          ],
        },
      },
      [],
    ],
  ])('%s', async (_what, options, expected) => {
    expect(await warningsOf(options)).toEqual(expected);
  });

  test('name limits on methods and classes that Nest never calls for a request', async () => {
    @Injectable()
    class Service {
      @RateLimit('1/min') work() {}
    }
    @Injectable()
    @RateLimit('1/min')
    class Limited {
      work() {}
    }
    expect(await warningsOf({ providers: [Service, Limited] })).toEqual([
      expect.stringContaining('Service.work has limits, but Nest calls it for no request'),
      'Limited has limits, but Nest calls it for no request, so nothing decides them.',
    ]);
  });

  test('name routes with limits but without a guard that decides them', async () => {
    const guarded = [UseGuards(RateLimitGuard), RateLimit('1/min')];
    const app = await start({
      routes: { '/a': RateLimit('1/min'), '/b': guarded, '/c': [] },
      root: unregistered,
    });
    expect(await statuses(app, 3, '/a')).toEqual(times(3, 200));
    expect(app.logged).toEqual([
      'Shop.a has limits, but no guard decides them. Remove registerGuard: false, or add @UseGuards(RateLimitGuard).',
    ]);
  });

  describe('about routes whose limits are all decided after the other guards', () => {
    const text =
      "all limits are decided after the other guards, so requests that these reject, such as guessed passwords and tokens, are not limited. Add a limit with key: 'ip', or with phase: 'before-guards'.";
    const strict = UseGuards(StrictGuard);
    const ofUsers = RateLimit({ rate: '5/min', key: 'user' });

    test.each<[string, Handlers]>([
      [
        'Shop.a and 2 others',
        {
          '/a': ofUsers,
          '/b': RateLimit({ rate: '5/min', key: 'user|ip' }),
          '/c': RateLimit({ rate: '5/min', phase: 'after-guards' }),
        },
      ],
      [
        'Shop.a and 1 other',
        {
          '/a': RateLimit({ rate: '5/min', key: 'anon' }),
          '/b': RateLimit({ rate: () => '5/min', phase: 'after-guards' }),
        },
      ],
      ['Shop.one', { '/one': ofUsers }],
    ])('name %s in one warning', async (named, routes) => {
      expect(await warningsOf({ routes, decorators: [strict] })).toEqual([`${named}: ${text}`]);
    });

    test('are not logged with an earlier limit, without another guard, or without limits', async () => {
      const routes = {
        '/a': [strict, ofUsers, RateLimit({ name: 'early', rate: '50/min', key: 'ip' })],
        '/b': RateLimit({ rate: '5/min', key: 'user|ip' }),
        '/c': strict,
        '/d': [strict, RateLimit('5/min')],
      };
      expect(await warningsOf({ routes })).toEqual([]);
      expect(await warningsOf({ routes, options: { exempt: () => false } })).toEqual([]);
    });

    test('are not logged with an earlier limit of the module', async () => {
      const limits = [{ name: 'all', rate: '99/min', key: 'ip' }] as const;
      expect(await warningsOf({ routes: { '/': [strict, ofUsers] }, options: { limits } })).toEqual([]);
    });

    const warningsBeside = (limit: RateLimitOptions) => {
      const beside = RateLimit({ name: 'beside', ...limit } as RateLimitOptions);
      return warningsOf({ routes: { '/': [strict, ofUsers, beside] } });
    };

    test.each<[string, RateLimitOptions]>([
      ['addresses', { rate: '50/min', key: 'ip' }],
      ['addresses, with an early phase', { rate: '50/min', key: 'ip', phase: 'before-guards' }],
      ['all requests', { rate: '50/min', key: 'global' }],
      ['addresses and all requests', { rate: '50/min', key: 'ip+global' }],
      ['headers and addresses', { rate: '50/min', key: 'ip+header:x-api-key' }],
      [
        'addresses, at a rate by load',
        { rate: byLoad({ normal: '50/min', elevated: '9/min', critical: '1/min' }) },
      ],
      ['early callers of a function', { rate: '50/min', key: () => 'everybody', phase: 'before-guards' }],
      ['addresses, at an early rate of a function', { rate: () => '50/min', phase: 'before-guards' }],
      [
        'addresses, at an early cost of a function',
        { rate: '50/min', cost: () => 1, phase: 'before-guards' },
      ],
      ['users, with an early phase', { rate: '50/min', key: 'user|ip', phase: 'before-guards' }],
    ])('are not logged with a limit on %s', async (_what, limit) => {
      expect(await warningsBeside(limit)).toEqual([]);
    });

    test.each<[string, RateLimitOptions]>([
      ['a shadow', { rate: '50/min', key: 'ip', shadow: true }],
      ['free', { rate: '50/min', key: 'ip', cost: 0 }],
      ['null', { rate: null, key: 'ip' }],
      ['unlimited', { rate: 'unlimited', key: 'ip' }],
      ['late', { rate: '50/min', key: 'ip', phase: 'after-guards' }],
      ['a late key function', { rate: '50/min', key: () => 'everybody', phase: 'after-guards' }],
      ['a late rate function', { rate: () => '50/min', key: 'ip', phase: 'after-guards' }],
      ['a late cost function', { rate: '50/min', cost: () => 1, key: 'ip', phase: 'after-guards' }],
      ['on headers, which a client can invent', { rate: '50/min', key: 'header:x-api-key' }],
      ['on headers or addresses', { rate: '50/min', key: 'header:x-api-key|ip' }],
    ])('are logged despite a limit that is %s', async (_what, limit) => {
      expect(await warningsBeside(limit)).toEqual([`Shop.get: ${text}`]);
    });
  });

  describe('about a subclass of the guard that never decides, because the registered guard runs first', () => {
    @Injectable()
    class OwnGuard extends RateLimitGuard {}
    const routes = { '/': RateLimit('1/min') };
    const said =
      'OwnGuard never decides, because the registered guard runs first. Set registerGuard: false for RateLimitModule.';

    test.each([
      ['default', Scope.DEFAULT],
      ['request', Scope.REQUEST],
      ['transient', Scope.TRANSIENT],
    ])('as APP_GUARD of %s scope', async (_name, scope) => {
      const providers = [{ provide: APP_GUARD, useClass: OwnGuard, scope }];
      expect(await warningsOf({ routes, providers })).toEqual([said]);
      expect(await warningsOf({ routes, providers, root: unregistered })).toEqual([]);
      expect(await warningsOf({ routes: { '/': [] }, providers })).toEqual([]);
    });

    test('in @UseGuards', async () => {
      const own = { routes, decorators: [UseGuards(OwnGuard)] };
      expect(await warningsOf(own)).toEqual([said]);
      expect(await warningsOf({ ...own, root: unregistered })).toEqual([]);
    });

    test('are not logged if the registered guard is registered again', async () => {
      const providers = [{ provide: APP_GUARD, useExisting: RateLimitGuard }];
      expect(await warningsOf({ routes, providers })).toEqual([]);
    });
  });
});

describe.each(platforms)('warnings while requests run on %s', (platform) => {
  const start = starter(platform, { middleware: false });

  test('name once a route whose user is set after all guards', async () => {
    @Injectable()
    class LateAuth implements NestInterceptor {
      intercept(context: ExecutionContext, next: CallHandler) {
        authenticate(context.switchToHttp().getRequest());
        return next.handle();
      }
    }
    const app = await start({
      decorators: [UseInterceptors(LateAuth)],
      routes: { '/': RateLimit({ rate: '2/min', key: 'user' }), '/by-address': RateLimit('9/min') },
    });
    expect(await statuses(app, 5, '/')).toEqual(times(5, 200));
    expect(app.logged).toEqual([]);
    expect(await statuses(app, 5, '/', { as: 'alice' })).toEqual(times(5, 200));
    expect(app.logged).toEqual([
      expect.stringContaining('Shop.get: request.user was set only after its limits were decided'),
    ]);
    expect(await statuses(app, 3, '/by-address', { as: 'alice' })).toEqual(times(3, 200));
    expect(app.logged).toHaveLength(1);
  });
});

describe('warnings while requests run', () => {
  const start = starter('fastify', { middleware: false });

  describe('about a limit that is only for logged-in users', () => {
    const own = RateLimit({ name: 'own', rate: '2/min', key: 'user' });
    const routes = {
      '/user': own,
      '/guarded': [UseGuards(new AuthGuard()), own, RateLimit({ name: 'all', rate: '999/min', key: 'ip' })],
      '/scope': ThrottleScope('own'),
      '/either': RateLimit({ name: 'either', rate: '999/min', key: 'user|ip' }),
    };
    const options = { scopes: { own: { rate: '2/min', key: 'user' } } } as const;

    test.each(['user', 'guarded', 'scope'])(
      'are logged once after a hundred callers, none of whom was logged in: %s',
      async (path) => {
        const app = await start({ routes, options });
        expect(await statuses(app, 99, `/${path}`)).toEqual(times(99, 200));
        expect(app.logged).toEqual([]);
        expect(await statuses(app, 101, `/${path}`)).toEqual(times(101, 200));
        expect(app.logged).toEqual([
          `Shop.${path}: "own" is only for logged-in users, and none of the first 100 clients was logged in, so it limited nobody. Authenticate in middleware or in a guard, or use key: 'user|ip'.`,
        ]);
        expect(app.warned).toEqual(app.logged);
      },
    );

    test('are not logged once a user was logged in, nor for a limit that also counts addresses', async () => {
      const app = await start({ routes, options, middleware: true });
      await app.get('/user', { as: 'alice' });
      await app.get('/guarded', { as: 'alice' });
      await app.get('/scope', { as: 'alice' });
      for (const path of ['/user', '/guarded', '/scope', '/either']) await statuses(app, 120, path);
      expect(app.logged).toEqual([]);
    });

    test('are not logged for requests that an earlier limit denies before guards have set the user', async () => {
      const all = RateLimit({ name: 'all', rate: '1/min', key: 'ip' });
      const app = await start({ routes: { '/': [UseGuards(new AuthGuard()), own, all] } });
      expect(await statuses(app, 201, '/')).toEqual([200, ...times(200, 429)]);
      expect(app.logged).toEqual([]);
    });

    test('are not logged for a limit of the module, which may have public routes', async () => {
      const app = await start({
        routes: { '/': [] },
        options: {
          limits: [
            { name: 'anon', rate: '999/min', key: 'anon' },
            { name: 'user', rate: '999/min', key: 'user' },
          ],
        },
      });
      expect(await statuses(app, 201, '/')).toEqual(times(201, 200));
      expect(app.logged).toEqual([]);
    });
  });
});
