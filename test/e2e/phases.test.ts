import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  Scope,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  byLoad,
  type KeyResolver,
  presets,
  RateLimit,
  type RateLimitContext,
  RateLimitGuard,
  RateLimitModule,
  type RateLimitOptions,
  type RateResolver,
  ThrottleScope,
} from 'nestjs-ratelimit';
import {
  type AppOptions,
  AuthGuard,
  configErrorOf,
  platforms,
  routes,
  starter,
  statuses,
  type TestApp,
  times,
} from '../support/app.js';

@Injectable()
class JwtGuard extends AuthGuard {
  override readonly strict = true;
}

@Injectable()
class OptionalJwtGuard extends AuthGuard {}

const tier = (context: RateLimitContext) => context.user?.tier;
const exempt = (context: RateLimitContext) => context.user?.isStaff === true;

/** The address limit allows 4 a minute, the user limit and the tiers 2 or 3. */
const guarded = (...guards: (CanActivate | (new () => CanActivate))[]) =>
  routes(
    {
      '/both': [
        RateLimit({ name: 'address', rate: '4/min', key: 'ip' }),
        RateLimit({ name: 'user', rate: '2/min', key: 'user' }),
      ],
      '/tiers': RateLimit({
        name: 'tiers',
        rate: { free: '2/min', pro: '3/min', default: '1/min' },
        key: 'user',
      }),
      '/address': RateLimit({ name: 'address', rate: '4/min', key: 'ip' }),
      '/reads': RateLimit({
        name: 'reads',
        rate: ({ user }) => (user?.tier === 'pro' ? '3/min' : '1/min'),
        key: 'global',
        phase: 'after-guards',
      }),
    },
    { decorators: [UseGuards(...guards)] },
  );

type Case = [name: string, options: () => AppOptions];

/** Registrations that are tested on both platforms, because the guard reads the platform's request. */
const onBoth: Case[] = [
  ['@UseGuards on the class', () => ({ controllers: [guarded(JwtGuard)] })],
  [
    'a request-scoped APP_GUARD',
    () => ({
      controllers: [guarded()],
      providers: [{ provide: APP_GUARD, useClass: JwtGuard, scope: Scope.REQUEST }],
    }),
  ],
];

/** Other registrations, which do not depend on the platform. */
const others: Case[] = [
  [
    '@UseGuards on the method',
    () => {
      const type = guarded();
      for (const name of ['both', 'tiers', 'address', 'reads']) {
        UseGuards(JwtGuard)(type.prototype, name, { value: type.prototype[name] });
      }
      return { controllers: [type] };
    },
  ],
  ['a guard instance in @UseGuards', () => ({ controllers: [guarded(new AuthGuard(true))] })],
  [
    'APP_GUARD in the root module',
    () => ({ controllers: [guarded()], providers: [{ provide: APP_GUARD, useClass: JwtGuard }] }),
  ],
  [
    'useGlobalGuards',
    () => ({ controllers: [guarded()], prepare: (app) => void app.useGlobalGuards(new AuthGuard(true)) }),
  ],
];

/** The tests of routes behind a guard, however it is registered. */
const behind = (start: (options: AppOptions) => Promise<TestApp>, options: () => AppOptions) => {
  test('user limits, tiers and exempt see the user, and a request is charged once', async () => {
    const app = await start({ ...options(), options: { tier, exempt } });
    const first = await app.get('/both', { as: 'alice' });
    expect(first.status).toBe(200);
    expect(first.headers.get('ratelimit')).toBe('"address";r=3;t=60, "user";r=1;t=60');
    expect(first.headers.get('x-ratelimit-remaining')).toBe('1');
    expect(await statuses(app, 2, '/both', { as: 'alice' })).toEqual([200, 429]);
    expect(await statuses(app, 3, '/tiers', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 4, '/tiers', { as: 'bob' })).toEqual([200, 200, 200, 429]);
    expect(await statuses(app, 4, '/reads', { as: 'bob' })).toEqual([200, 200, 200, 429]);
  });

  test('charges of the first phase are refunded if the second denies', async () => {
    const app = await start({ ...options(), options: { tier } });
    await statuses(app, 2, '/both', { as: 'alice' });
    for (let i = 0; i < 5; i++) {
      const denied = await app.get('/both', { as: 'alice' });
      expect([denied.status, denied.json.details.throttle_type]).toEqual([429, 'user']);
      expect(denied.headers.get('ratelimit')).toBe('"address";r=2;t=60, "user";r=0;t=60');
    }
    expect(await statuses(app, 2, '/both', { as: 'bob' })).toEqual([200, 200]);
    expect((await app.get('/both', { as: 'carol' })).json.details.throttle_type).toBe('address');
  });

  test('charges of the first phase are refunded if the caller is exempt', async () => {
    const app = await start({ ...options(), options: { tier, exempt } });
    for (const path of ['/both', '/tiers', '/address', '/reads']) {
      expect(await statuses(app, 20, path, { as: 'staff' })).toEqual(times(20, 200));
      const { headers } = await app.get(path, { as: 'staff' });
      expect([...headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
    }
    expect(await statuses(app, 5, '/address', { as: 'alice' })).toEqual([...times(4, 200), 429]);
  });

  test('address limits are decided before authentication, so failed logins are limited', async () => {
    const app = await start({ ...options(), options: { tier, exempt } });
    for (const path of ['/both', '/address']) {
      const seen = await statuses(app, 6, path, { as: 'nobody' });
      expect(seen).toEqual([...times(4, 403), 429, 429]);
    }
  });
};

describe.each(platforms)('limits and authentication on %s', (platform) => {
  const start = starter(platform, { middleware: false });

  describe.each(onBoth)('A23a with %s', (_name, options) => behind(start, options));

  describe('functions with a phase', () => {
    const idOf = ({ request }: RateLimitContext) => (request.user as { id: string } | undefined)?.id;
    const isBob = (context: RateLimitContext) => idOf(context) === 'bob';
    /** Limits that admit bob twice a minute if they know him. */
    const limits: [string, object][] = [
      ['key', { rate: '2/min', key: (context: RateLimitContext) => `caller:${idOf(context) ?? 'nobody'}` }],
      ['rate', { rate: (context: RateLimitContext) => (isBob(context) ? '2/min' : '5/min') }],
      ['cost', { rate: '4/min', cost: async (context: RateLimitContext) => (isBob(context) ? 2 : 1) }],
      ['when', { rate: '2/min', when: async (context: RateLimitContext) => isBob(context) }],
      ['skipIf', { rate: '2/min', skipIf: (context: RateLimitContext) => !isBob(context) }],
    ];
    const startUnder = (limit: object) =>
      start({
        routes: {
          '/': [
            UseGuards(JwtGuard),
            RateLimit({ name: 'address', rate: '9/min', key: 'ip' }),
            RateLimit({ name: 'reads', ...limit } as RateLimitOptions),
          ],
        },
      });
    const bobAndAlice = async (app: TestApp) => [
      ...(await statuses(app, 3, '/', { as: 'bob' })),
      ...(await statuses(app, 1, '/', { as: 'alice', from: '203.0.113.7' })),
    ];

    test.each(limits)('%s: before the guards there is no user', async (name, limit) => {
      const app = await startUnder({ ...limit, phase: 'before-guards' });
      expect(await bobAndAlice(app)).toEqual(name === 'key' ? [200, 200, 429, 429] : times(4, 200));
      expect(app.logged).toEqual([]);
    });

    test.each(limits)('%s: after the guards the user is known', async (_name, limit) => {
      const app = await startUnder({ ...limit, phase: 'after-guards' });
      expect(await bobAndAlice(app)).toEqual([200, 200, 429, 200]);
      expect(app.logged).toEqual([]);
    });

    test('requests that a guard rejects are charged to limits before the guards only', async () => {
      const rejected = async (phase: string) =>
        statuses(await startUnder({ rate: '2/min', key: () => 'all', phase }), 3, '/', { as: 'nobody' });
      expect(await rejected('before-guards')).toEqual([403, 403, 429]);
      expect(await rejected('after-guards')).toEqual([403, 403, 403]);
    });
  });

  describe('A55 a login whose wrong passwords are rejected by a guard of the method', () => {
    /** As Passport's local strategy does it. */
    @Injectable()
    class LocalAuthGuard implements CanActivate {
      canActivate(execution: ExecutionContext): boolean {
        const { body } = execution.switchToHttp().getRequest<{ body: { password?: string } }>();
        if (body.password !== 'right') throw new UnauthorizedException();
        return true;
      }
    }
    const routesUnder = (limit: MethodDecorator) =>
      routes({ 'POST /login': [UseGuards(LocalAuthGuard), limit] });
    const body = { email: 'alice@example.org', password: 'wrong' };
    const attempts = (app: TestApp, count: number) =>
      statuses(app, count, '/login', { method: 'POST', body });

    test('is limited by the preset', async () => {
      const app = await start({
        controllers: [routesUnder(ThrottleScope('login'))],
        options: { scopes: { ...presets.login } },
      });
      expect(await attempts(app, 7)).toEqual([...times(5, 401), 429, 429]);
      expect(app.warned).toEqual([]);
    });

    const limits: [string, RateLimitOptions][] = [
      ['an address', { rate: '3/min' }],
      ['a value of the body', { rate: '3/min', key: 'body:email' }],
      [
        'a function of the request',
        { rate: '3/min', phase: 'before-guards', key: ({ header }) => `agent:${header('user-agent')}` },
      ],
      ['a rate that is a function', { rate: async () => '3/min' as const, phase: 'before-guards' }],
      ['a function of the user', { rate: '3/min', phase: 'before-guards', key: () => undefined }],
    ];
    test.each(limits)('is limited by %s before the guards', async (_what, limit) => {
      const app = await start({ controllers: [routesUnder(RateLimit(limit))] });
      expect(await attempts(app, 5)).toEqual([401, 401, 401, 429, 429]);
    });
  });
});

describe('limits and authentication', () => {
  const start = starter('fastify', { middleware: false });

  describe.each(others)('A23a with %s', (_name, options) => behind(start, options));

  test('APP_GUARD ahead of ours knows the user, and both phases are one', async () => {
    const app = await start({
      controllers: [guarded()],
      providers: [
        { provide: APP_GUARD, useClass: OptionalJwtGuard },
        { provide: APP_GUARD, useExisting: RateLimitGuard },
      ],
      root: (store) => RateLimitModule.forRoot({ store, registerGuard: false, tier }),
    });
    expect(await statuses(app, 3, '/both', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 4, '/tiers', { as: 'bob' })).toEqual([200, 200, 200, 429]);
  });

  test('our guard after another one in @UseGuards knows the user', async () => {
    const app = await start({
      routes: { '/': RateLimit({ rate: '2/min', key: 'user' }) },
      decorators: [UseGuards(OptionalJwtGuard, RateLimitGuard)],
      root: (store) => RateLimitModule.forRoot({ store, registerGuard: false }),
    });
    expect(await statuses(app, 3, '/', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 3, '/')).toEqual(times(3, 200));
  });

  test('a request is charged once even if the guard is registered several times', async () => {
    const app = await start({
      routes: { '/': [UseGuards(RateLimitGuard), RateLimit('4/min')] },
      decorators: [UseGuards(RateLimitGuard)],
      providers: [{ provide: APP_GUARD, useClass: RateLimitGuard }],
      prepare: (nest) => void nest.useGlobalGuards(nest.get(RateLimitGuard)),
    });
    expect(await statuses(app, 5, '/')).toEqual([...times(4, 200), 429]);
  });

  describe('A55 a limit whose phase cannot be known', () => {
    @Injectable()
    class TenantKey implements KeyResolver<RateLimitContext> {
      resolveKey = () => 'tenant:1';
    }
    @Injectable()
    class TenantRate implements RateResolver<RateLimitContext> {
      resolveRate() {
        return '5/min' as const;
      }
    }
    const parts: [string, RateLimitOptions][] = [
      ['key', { rate: '2/min', key: ({ user }) => `caller:${user?.id}` }],
      ['key', { rate: '2/min', key: TenantKey }],
      ['rate', { rate: ({ user }) => (user?.tier === 'pro' ? '2/min' : '5/min') }],
      ['rate', { rate: TenantRate }],
      ['cost', { rate: '4/min', cost: async () => 2 }],
      ['when', { rate: '4/min', when: () => true }],
      ['skipIf', { rate: '4/min', skipIf: async () => false }],
    ];
    const routeUnder = (limit: RateLimitOptions, ...guards: (new () => CanActivate)[]) =>
      routes({
        '/': [UseGuards(...guards), RateLimit({ name: 'search', ...limit } as RateLimitOptions)],
      });
    const failure = async (starting: Promise<unknown>) => (await configErrorOf(starting)).message;
    const providers = [TenantKey, TenantRate];

    test.each(parts)(
      'does not start if its %s is a function or class and a guard follows',
      async (part, limit) => {
        const message = await failure(start({ controllers: [routeUnder(limit, JwtGuard)], providers }));
        expect(message).toMatch(
          new RegExp(
            `^\\[missing-phase\\] Shop\\.get: The ${part} of the limit "search" is a function or class.*JwtGuard`,
          ),
        );
        expect(message).toContain(`phase: 'after-guards'`);
        expect(message).toContain(`phase: 'before-guards'`);
      },
    );

    test.each(parts)('starts if no guard follows, and its %s is called', async (_part, limit) => {
      const app = await start({ controllers: [routeUnder(limit)], providers });
      expect((await app.get('/')).status).toBe(200);
      expect(app.warned).toEqual([]);
    });

    test('is reported once for each limit: of the module, of a scope, and with the default key', async () => {
      const message = await failure(
        start({
          routes: {
            '/a': ThrottleScope('reports'),
            '/b': ThrottleScope('reports'),
            '/c': [RateLimit('5/min'), RateLimit({ rate: '5/min', key: 'ip' })],
          },
          decorators: [UseGuards(JwtGuard)],
          options: {
            key: ({ user }) => `user:${user?.id}`,
            scopes: { reports: { rate: '5/min', key: 'ip', when: () => true } },
            limits: [{ name: 'all', rate: () => '9/min', key: 'ip' }],
          },
        }),
      );
      expect(message.match(/\[missing-phase\] [^ ]+/g)).toEqual([
        '[missing-phase] limits[0]:',
        '[missing-phase] scopes.reports:',
        '[missing-phase] Shop.c:',
      ]);
    });

    test.each<[string, RateLimitOptions]>([
      ['countWhen', { rate: '5/min', countWhen: () => true }],
      [
        'a rate by load',
        { rate: byLoad({ normal: '5/min', elevated: '4/min', critical: '3/min' }, () => 'normal') },
      ],
      ['tiers', { rate: { free: '5/min', default: '5/min' } }],
      ['methods', { rate: '5/min', methods: ['GET'] }],
    ])('%s needs no phase', async (_what, limit) => {
      const app = await start({ controllers: [routeUnder(limit, JwtGuard)], options: { tier } });
      expect((await app.get('/', { as: 'bob' })).status).toBe(200);
    });
  });

  test('A56 200 parallel requests of exempt staff pass, and their charges are refunded', async () => {
    const app = await start({
      controllers: [guarded(JwtGuard)],
      options: { tier, exempt, limits: [{ name: 'module', rate: '300/min', key: 'ip' }] },
    });
    const answers = await Promise.all(Array.from({ length: 200 }, () => app.get('/tiers', { as: 'staff' })));
    expect(answers.map(({ status }) => status)).toEqual(times(200, 200));
    const { headers } = await app.get('/address', { as: 'alice' });
    expect(headers.get('ratelimit')).toContain('"module";r=299');
  });

  test('A56 no function of the application is called twice for one phase', async () => {
    const calls: string[] = [];
    const count = <T>(name: string, value: T): T => {
      calls.push(name);
      return value;
    };

    const app = await start({
      routes: {
        '/': [
          RateLimit({ rate: '5/min', key: 'ip' }),
          RateLimit({ rate: '50/min', key: () => count('early key', 'a:b'), phase: 'before-guards' }),
          RateLimit({
            rate: () => count('rate', '50/min'),
            cost: () => count('cost', 1),
            when: () => count('when', true),
            skipIf: async () => count('skipIf', false),
            phase: 'after-guards',
          }),
          RateLimit({ rate: '50/min', phase: 'after-guards', countWhen: () => count('countWhen', true) }),
          RateLimit({ rate: { free: '50/min', default: '50/min' }, key: 'user' }),
          RateLimit({ rate: { free: '60/min', default: '60/min' }, key: 'user' }),
        ],
      },
      decorators: [UseGuards(JwtGuard)],
      options: {
        key: () => count('default key', 'c:d'),
        tier: () => count('tier', 'free'),
        user: (request) => count('user', (request.user as { id?: string } | undefined)?.id),
        exempt: () => count('exempt', false),
      },
    });
    expect((await app.get('/', { as: 'bob' })).status).toBe(200);
    expect(calls.sort()).toEqual([
      'cost',
      'countWhen',
      'default key',
      'early key',
      'exempt',
      'rate',
      'skipIf',
      'tier',
      'user',
      'when',
    ]);
  });

  describe('a limit on users that is decided before the guards that set them', () => {
    const early = { name: 'early', rate: '2/min', key: 'user', phase: 'before-guards' } as const;
    const routeUnder = (limit: RateLimitOptions, ...guards: (new () => CanActivate)[]) => {
      @Controller()
      @UseGuards(...guards)
      class Shop {
        @Get('one') @RateLimit(limit) one() {
          return 'ok';
        }
        @Get('two') @RateLimit(limit) two() {
          return 'ok';
        }
        @Get('free') free() {
          return 'ok';
        }
      }
      return Shop;
    };
    const atStart = (routes: string, name = 'early') =>
      `${routes}: "${name}" is only for logged-in users, but phase: 'before-guards' decides it before any guard has set the user, so it limits nobody unless middleware sets one. Write phase: 'after-guards'.`;

    test('is warned about once at start-up and, with the same fix, while requests run', async () => {
      const app = await start({ controllers: [routeUnder(early, OptionalJwtGuard)] });
      expect(app.warned).toEqual([atStart('Shop.one and 1 other')]);
      expect(await statuses(app, 3, '/one', { as: 'alice' })).toEqual(times(3, 200));
      expect(app.warned.slice(1)).toEqual([
        `Shop.one: request.user was set only after its limits were decided, so its clients counted as anonymous. Set it in middleware, or in a guard and write phase: 'after-guards' in the limits.`,
      ]);
      expect(await statuses(app, 100, '/two')).toEqual(times(100, 200));
      expect(app.warned.slice(2)).toEqual([
        `Shop.two: "early" is only for logged-in users, and none of the first 100 clients was logged in, so it limited nobody. If a guard authenticates, write phase: 'after-guards'. Otherwise authenticate in middleware, or use key: 'user|ip'.`,
      ]);
    });

    test('is not warned about once the fix is applied', async () => {
      const address = [{ name: 'address', rate: '99/min', key: 'ip' }] as const;
      const late = routeUnder({ ...early, phase: 'after-guards' }, OptionalJwtGuard);
      const app = await start({ controllers: [late], options: { limits: address } });
      expect(app.warned).toEqual([]);
      expect(await statuses(app, 3, '/one', { as: 'alice' })).toEqual([200, 200, 429]);
    });

    test.each<[string, RateLimitOptions]>([
      ['users and something else', { ...early, key: 'user+header:x-tenant' }],
      ['users, in a shadow', { ...early, shadow: true }],
    ])('is warned about if it is on %s', async (_what, limit) => {
      const { warned } = await start({ controllers: [routeUnder(limit, OptionalJwtGuard)] });
      expect(warned).toEqual([atStart('Shop.one and 1 other')]);
    });

    test('does not count as a limit on requests that a guard rejects', async () => {
      @Controller()
      class Both {
        @Get()
        @UseGuards(JwtGuard)
        @RateLimit(early)
        @RateLimit({ name: 'late', rate: '20/hour', key: 'user' })
        get() {}
      }
      const { warned } = await start({ controllers: [Both] });
      expect(warned).toEqual([
        expect.stringContaining('Both.get: all limits are decided after the other guards'),
        atStart('Both.get'),
      ]);
    });

    test('is warned about if the module declares it', async () => {
      const { warned } = await start({
        controllers: [routeUnder({ rate: '99/min' }, OptionalJwtGuard)],
        options: { limits: [{ ...early, name: 'all' }] },
      });
      expect(warned).toEqual([atStart('Shop.one and 2 others', 'all')]);
    });

    test.each<[string, RateLimitOptions, (new () => CanActivate)[]]>([
      ['without another guard', early, []],
      ['if it also counts addresses', { ...early, key: 'user|ip' }, [OptionalJwtGuard]],
      ['if it is for anonymous clients', { ...early, key: 'anon' }, [OptionalJwtGuard]],
    ])('is not warned about %s', async (_when, limit, guards) => {
      expect((await start({ controllers: [routeUnder(limit, ...guards)] })).warned).toEqual([]);
    });

    test('is not warned about if a guard of the application says who is charged', async () => {
      @Injectable()
      class TenantGuard extends RateLimitGuard {
        protected override identity() {
          return 'tenant:1';
        }
      }
      const app = await start({
        controllers: [routeUnder(early, OptionalJwtGuard)],
        providers: [{ provide: APP_GUARD, useClass: TenantGuard }],
        root: (store) => RateLimitModule.forRoot({ store, registerGuard: false }),
      });
      expect(app.warned).toEqual([]);
      expect(await statuses(app, 3, '/one')).toEqual([200, 200, 429]);
    });
  });

  test('A56 tier, user and the default key are called once per phase, those of limits once', async () => {
    const calls: string[] = [];
    const count = <T>(name: string, value: T): T => {
      calls.push(name);
      return value;
    };
    const phases = ['before-guards', 'after-guards'] as const;
    const tiers = { free: '50/min', default: '50/min' } as const;
    @Controller()
    @UseGuards(JwtGuard)
    class Counted {
      @Get()
      @RateLimit({ rate: tiers, phase: phases[0] })
      @RateLimit({ rate: tiers, phase: phases[1] })
      @RateLimit({ rate: '60/min', key: 'user|ip', when: () => count('when', true), phase: phases[0] })
      @RateLimit({ rate: '60/min', key: 'user|ip', when: () => count('when', true), phase: phases[1] })
      get() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Counted],
      options: {
        key: () => count('default key', 'c:d'),
        tier: () => count('tier', 'free'),
        user: (request) => count('user', (request.user as { id?: string } | undefined)?.id),
      },
    });
    expect((await app.get('/', { as: 'bob' })).status).toBe(200);
    const twice = ['default key', 'tier', 'user', 'when'];
    expect([...calls].sort()).toEqual(twice.flatMap((name) => [name, name]));
  });

  test('an exempt client gets the 429 of a used-up limit before guards, unless it is decided after them', async () => {
    const statusesUnder = async (limit: RateLimitOptions) => {
      @Controller()
      class Office {
        @Get() @UseGuards(OptionalJwtGuard) @RateLimit(limit) get() {
          return 'ok';
        }
      }
      const app = await start({ controllers: [Office], options: { exempt } });
      return [...(await statuses(app, 3, '/')), ...(await statuses(app, 2, '/', { as: 'staff' }))];
    };
    expect(await statusesUnder({ rate: '2/min' })).toEqual([200, 200, 429, 429, 429]);
    expect(await statusesUnder({ rate: '2/min', phase: 'after-guards' })).toEqual([200, 200, 429, 200, 200]);
  });

  test('two routes of one scope share it across phases', async () => {
    const app = await start({
      routes: {
        '/plain': ThrottleScope('shared'),
        '/guarded': [UseGuards(OptionalJwtGuard), ThrottleScope('shared')],
      },
      options: { scopes: { shared: { rate: '3/min', key: 'user|ip' } } },
    });
    expect(await statuses(app, 2, '/plain')).toEqual([200, 200]);
    expect(await statuses(app, 2, '/guarded')).toEqual([200, 429]);
    expect(await statuses(app, 3, '/guarded', { as: 'alice' })).toEqual([200, 200, 200]);
  });
});
