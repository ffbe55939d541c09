import { type CanActivate, Controller, Get, Injectable, Scope, UseGuards } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  RateLimit,
  type RateLimitContext,
  RateLimitGuard,
  RateLimitModule,
  type RateLimitOptions,
  type RateLimitUser,
  ThrottleScope,
} from 'nestjs-ratelimit';
import {
  type AppOptions,
  AuthGuard,
  platforms,
  starter,
  statuses,
  type TestApp,
  times,
} from '../support/app.js';

@Injectable()
class JwtGuard extends AuthGuard {
  constructor() {
    super(true);
  }
}

@Injectable()
class OptionalJwtGuard extends AuthGuard {
  constructor() {
    super(false);
  }
}

const tier = (context: RateLimitContext) => context.user?.tier;
const exempt = (context: RateLimitContext) => context.user?.isStaff === true;

/** The address limit allows 4 a minute, the user limit and the tiers 2 or 3. */
const routes = (...guards: (CanActivate | (new () => CanActivate))[]) => {
  @Controller()
  @UseGuards(...guards)
  class Guarded {
    @Get('both')
    @RateLimit({ name: 'address', rate: '4/min', key: 'ip' })
    @RateLimit({ name: 'user', rate: '2/min', key: 'user' })
    both() {
      return 'ok';
    }
    @Get('tiers')
    @RateLimit({ name: 'tiers', rate: { free: '2/min', pro: '3/min', default: '1/min' }, key: 'user' })
    tiers() {
      return 'ok';
    }
    @Get('address') @RateLimit({ name: 'address', rate: '4/min', key: 'ip' }) address() {
      return 'ok';
    }
    @Get('needs')
    @RateLimit({
      name: 'needs',
      rate: ({ user }) => (user?.tier === 'pro' ? '3/min' : '1/min'),
      key: 'global',
      needs: 'user',
    })
    needs() {
      return 'ok';
    }
  }
  return Guarded;
};

type Case = [name: string, options: () => AppOptions];

/** Where the request that the guards see is the platform's: the usual way, and a guard that each request makes. */
const onBoth: Case[] = [
  ['@UseGuards on the class', () => ({ controllers: [routes(JwtGuard)] })],
  [
    'a request-scoped APP_GUARD',
    () => ({
      controllers: [routes()],
      providers: [{ provide: APP_GUARD, useClass: JwtGuard, scope: Scope.REQUEST }],
    }),
  ],
];

/** Other ways to register a guard, in which Nest itself knows no platform. */
const others: Case[] = [
  [
    '@UseGuards on the method',
    () => {
      const type = routes();
      for (const name of ['both', 'tiers', 'address', 'needs']) {
        UseGuards(JwtGuard)(
          type.prototype,
          name,
          Object.getOwnPropertyDescriptor(type.prototype, name) as PropertyDescriptor,
        );
      }
      return { controllers: [type] };
    },
  ],
  ['a guard instance in @UseGuards', () => ({ controllers: [routes(new AuthGuard(true))] })],
  [
    'APP_GUARD in the root module',
    () => ({ controllers: [routes()], providers: [{ provide: APP_GUARD, useClass: JwtGuard }] }),
  ],
  [
    'useGlobalGuards',
    () => ({ controllers: [routes()], prepare: (app) => void app.useGlobalGuards(new AuthGuard(true)) }),
  ],
];

/** What holds of routes behind a guard, in whichever way it is registered. */
const behind = (start: (options: AppOptions) => Promise<TestApp>, options: () => AppOptions) => {
  test('user limits, tiers and exempt see the user, and one call is charged once', async () => {
    const app = await start({ ...options(), options: { tier, exempt } });
    const first = await app.get('/both', { as: 'alice' });
    expect(first.status).toBe(200);
    expect(first.headers.get('ratelimit')).toBe('"address";r=3;t=60, "user";r=1;t=60');
    expect(first.headers.get('x-ratelimit-remaining')).toBe('1');
    expect(await statuses(app, 2, '/both', { as: 'alice' })).toEqual([200, 429]);
    expect(await statuses(app, 3, '/tiers', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 4, '/tiers', { as: 'bob' })).toEqual([200, 200, 200, 429]);
    expect(await statuses(app, 4, '/needs', { as: 'bob' })).toEqual([200, 200, 200, 429]);
  });

  test('what the first stage took is given back when the second denies', async () => {
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

  test('what the first stage took is given back when the caller turns out to be exempt', async () => {
    const app = await start({ ...options(), options: { tier, exempt } });
    for (const path of ['/both', '/tiers', '/address', '/needs']) {
      expect(await statuses(app, 20, path, { as: 'staff' })).toEqual(times(20, 200));
      const { headers } = await app.get(path, { as: 'staff' });
      expect([...headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
    }
    expect(await statuses(app, 5, '/address', { as: 'alice' })).toEqual([...times(4, 200), 429]);
  });

  test('address limits are decided before authentication, so that a flood of failed log-ins is limited', async () => {
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

  describe('functions that read the user of the request itself', () => {
    const userOf = ({ request }: RateLimitContext) =>
      request.user as { id: string; tier: string } | undefined;
    /** What each gives bob for three requests and alice for one: with the user, and without. */
    const limits: [string, RateLimitOptions, withUser: number[], without: number[]][] = [
      [
        'key',
        { rate: '2/min', key: (context) => `caller:${userOf(context)?.id ?? 'nobody'}` },
        [200, 200, 429, 200],
        [200, 200, 429, 429],
      ],
      [
        'rate',
        { rate: (context) => (userOf(context)?.tier === 'pro' ? '2/min' : '5/min') },
        [200, 200, 429, 200],
        times(4, 200),
      ],
      [
        'cost',
        { rate: '4/min', cost: async (context) => (userOf(context)?.tier === 'pro' ? 2 : 1) },
        [200, 200, 429, 200],
        times(4, 200),
      ],
    ];
    const startUnder = (limit: RateLimitOptions, guard: new () => CanActivate = JwtGuard) => {
      @Controller()
      class Reads {
        @Get()
        @UseGuards(guard)
        @RateLimit({ name: 'address', rate: '9/min', key: 'ip' })
        @RateLimit({ name: 'reads', ...limit })
        get() {
          return 'ok';
        }
      }
      return start({ controllers: [Reads] });
    };
    const bobAndAlice = async (app: TestApp) => [
      ...(await statuses(app, 3, '/', { as: 'bob' })),
      ...(await statuses(app, 1, '/', { as: 'alice', from: '203.0.113.7' })),
    ];

    test.each(limits)('%s: one warning says what to do', async (_part, limit, _withUser, without) => {
      const app = await startUnder(limit);
      expect(await bobAndAlice(app)).toEqual(without);
      expect(app.warned).toEqual([
        "Reads.get: a function of a limit was called before the user was known, and looked at the request. If it reads the user, add needs: 'user'; if not, needs: 'request' ends this warning.",
      ]);
      expect(app.logged).toEqual(app.warned);
    });

    test.each(limits)('%s: nothing is said of callers who are anonymous', async (_part, limit) => {
      const app = await startUnder(limit, OptionalJwtGuard);
      await statuses(app, 3, '/');
      expect(app.logged).toEqual([]);
    });

    test.each(limits)("%s: with needs: 'request' no warning", async (_part, limit, _withUser, without) => {
      const app = await startUnder({ ...limit, needs: 'request' });
      expect(await bobAndAlice(app)).toEqual(without);
      expect(app.logged).toEqual([]);
    });

    test.each(limits)("%s: with needs: 'user' the user is known", async (_part, limit, withUser) => {
      const app = await startUnder({ ...limit, needs: 'user' });
      expect(await bobAndAlice(app)).toEqual(withUser);
      expect(app.logged).toEqual([]);
    });

    test('refused callers spend a limit that needs the request, and none that needs the user', async () => {
      const [[, key]] = limits as [(typeof limits)[number]];
      const refused = async (needs: 'user' | 'request') =>
        statuses(await startUnder({ ...key, needs }), 3, '/', { as: 'nobody' });
      expect(await refused('request')).toEqual([403, 403, 429]);
      expect(await refused('user')).toEqual([403, 403, 403]);
    });
  });
});

describe('limits and authentication', () => {
  const start = starter('fastify', { middleware: false });

  describe.each(others)('A23a with %s', (_name, options) => behind(start, options));

  test('APP_GUARD ahead of ours knows the user, and there is one stage', async () => {
    const app = await start({
      controllers: [routes()],
      providers: [
        { provide: APP_GUARD, useClass: OptionalJwtGuard },
        { provide: APP_GUARD, useExisting: RateLimitGuard },
      ],
      root: (store) => RateLimitModule.forRoot({ store, registerGuard: false, tier }),
    });
    expect(await statuses(app, 3, '/both', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 4, '/tiers', { as: 'bob' })).toEqual([200, 200, 200, 429]);
  });

  test('our guard behind another one in @UseGuards', async () => {
    @Controller()
    @UseGuards(OptionalJwtGuard, RateLimitGuard)
    class Ordered {
      @Get() @RateLimit({ rate: '2/min', key: 'user' }) get() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Ordered],
      root: (store) => RateLimitModule.forRoot({ store, registerGuard: false }),
    });
    expect(await statuses(app, 3, '/', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 3, '/')).toEqual(times(3, 200));
  });

  test('a call is charged once, however often the guard is registered', async () => {
    @Controller()
    @UseGuards(RateLimitGuard)
    class Thrice {
      @Get() @UseGuards(RateLimitGuard) @RateLimit('4/min') get() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Thrice],
      providers: [{ provide: APP_GUARD, useClass: RateLimitGuard }],
      prepare: (nest) => void nest.useGlobalGuards(nest.get(RateLimitGuard)),
    });
    expect(await statuses(app, 5, '/')).toEqual([...times(4, 200), 429]);
  });

  describe('functions that read the user without saying so', () => {
    const limits: Readonly<Record<string, RateLimitOptions>> = {
      key: { rate: '2/min', key: ({ user }) => `caller:${user?.id ?? 'nobody'}` },
      rate: { rate: ({ user }) => (user?.tier === 'pro' ? '2/min' : '5/min') },
      cost: { rate: '4/min', cost: async ({ user }) => (user?.tier === 'pro' ? 2 : 1) },
    };
    /** A route under a limit beside one on addresses of 6 a minute, behind a guard. */
    const routeUnder = (limit: RateLimitOptions, guard: new () => CanActivate = OptionalJwtGuard) => {
      @Controller()
      class Reads {
        @Get()
        @UseGuards(guard)
        @RateLimit({ name: 'address', rate: '6/min', key: 'ip' })
        @RateLimit({ name: 'reads', ...limit })
        get() {
          return 'ok';
        }
      }
      return Reads;
    };
    const asks = Object.entries(limits);

    test.each(asks)('%s: decided once the user is known, and warned about once', async (_part, limit) => {
      const app = await start({ controllers: [routeUnder(limit)] });
      expect(await statuses(app, 3, '/', { as: 'bob' })).toEqual([200, 200, 429]);
      const other = await app.get('/', { as: 'alice', from: '203.0.113.7' });
      expect([other.status, other.headers.get('ratelimit-policy')?.replaceAll(/;q=\d+;w=60/g, '')]).toEqual([
        200,
        '"address", "reads"',
      ]);
      expect((await app.get('/', { from: '203.0.113.8' })).status).toBe(200);
      expect(app.warned).toEqual([expect.stringMatching(/^Reads\.get: .* add needs: 'user'/)]);
      expect(app.logged).toEqual(app.warned);
    });

    test.each(asks)('%s: refused callers spend nothing of it', async (_part, limit) => {
      const app = await start({ controllers: [routeUnder(limit, JwtGuard)] });
      expect(await statuses(app, 4, '/', { as: 'nobody' })).toEqual(times(4, 403));
      expect(await statuses(app, 2, '/', { as: 'bob' })).toEqual([200, 200]);
      expect((await app.get('/', { as: 'nobody' })).json.details.throttle_type).toBe('address');
    });

    test.each(asks)('%s: a denial gives back what the guard took', async (_part, limit) => {
      const app = await start({ controllers: [routeUnder(limit)] });
      await statuses(app, 2, '/', { as: 'bob' });
      for (let i = 0; i < 5; i++) {
        const { status, headers, json } = await app.get('/', { as: 'bob' });
        expect([status, json.details.throttle_type]).toEqual([429, 'reads']);
        expect(headers.get('ratelimit')).toContain('"address";r=4');
      }
    });

    test.each(asks)("%s: with needs: 'user' the same, and no warning", async (_part, limit) => {
      const app = await start({ controllers: [routeUnder({ ...limit, needs: 'user' })] });
      expect(await statuses(app, 3, '/', { as: 'bob' })).toEqual([200, 200, 429]);
      expect((await app.get('/', { as: 'alice', from: '203.0.113.7' })).status).toBe(200);
      expect(app.logged).toEqual([]);
    });

    test('a function that finds its user ahead of the guard is decided there', async () => {
      const app = await start({
        controllers: [routeUnder(limits.key as RateLimitOptions, JwtGuard)],
        middleware: true,
      });
      expect(await statuses(app, 3, '/', { as: 'bob' })).toEqual([200, 200, 429]);
      expect(app.logged).toEqual([]);
    });
  });

  describe('functions that fail without their user', () => {
    const RATES: Readonly<Record<string, '1/min' | '3/min'>> = { free: '1/min', pro: '3/min' };
    const rateOf = (user: RateLimitUser | undefined) => RATES[(user as { tier: string }).tier] as '3/min';
    const limits: [string, RateLimitOptions][] = [
      ['a rate that is undefined', { rate: ({ user }) => RATES[user?.tier as string] as '3/min' }],
      [
        'a rate that is undefined later',
        { rate: async ({ user }) => RATES[user?.tier as string] as '3/min' },
      ],
      ['a rate that throws', { rate: ({ user }) => rateOf(user) }],
      ['a rate that is rejected', { rate: async ({ user }) => rateOf(user) }],
      [
        'a rate that is rejected for a user that it asks for later',
        {
          rate: async (context) => {
            await Promise.resolve();
            return rateOf(context.user);
          },
        },
      ],
      ['a key that throws', { rate: '3/min', key: ({ user }) => `of:${(user as { id: string }).id}` }],
      [
        'a key that is rejected',
        { rate: '3/min', key: async ({ user }) => `of:${(user as { id: string }).id}` },
      ],
      ['a key that is empty', { rate: '3/min', key: ({ user }) => (user?.id ?? '') as string }],
      ['a cost that throws', { rate: '6/min', cost: ({ user }) => Object.keys(user as object).length }],
      [
        'a cost that is rejected',
        { rate: '6/min', cost: async ({ user }) => Object.keys(user as object).length },
      ],
      [
        'a cost that is none',
        { rate: '6/min', cost: ({ user }) => Object.keys(user ?? {}).length || Number.NaN },
      ],
    ];

    test.each(limits)(
      '%s: signed-in callers get their limit, and a single warning is all that is logged',
      async (_what, limit) => {
        @Controller()
        @UseGuards(JwtGuard)
        class Reads {
          @Get() @RateLimit(limit) get() {
            return 'ok';
          }
        }
        const app = await start({ controllers: [Reads] });
        expect(await statuses(app, 2, '/', { as: 'nobody' })).toEqual([403, 403]);
        expect(await statuses(app, 4, '/', { as: 'bob' })).toEqual([200, 200, 200, 429]);
        expect((await app.get('/', { as: 'alice', from: '203.0.113.7' })).status).toBe(200);
        expect(app.logged).toEqual([expect.stringMatching(/^Reads\.get: .* add needs: 'user'/)]);
      },
    );

    test('one that fails with its user as well is a 503, and logged', async () => {
      @Controller()
      @UseGuards(JwtGuard)
      class Reads {
        @Get() @RateLimit({ rate: ({ user }) => RATES[user?.tier as string] as '3/min' }) get() {
          return 'ok';
        }
      }
      const app = await start({ controllers: [Reads] });
      expect((await app.get('/', { as: 'carol' })).status).toBe(503);
      expect(app.logged).toEqual([
        expect.stringContaining("add needs: 'user'"),
        expect.stringContaining('Reads.get: The rate function gave no rate'),
      ]);
    });

    test('an exempt function that fails for want of the user is not reported before the guards', async () => {
      @Controller()
      @UseGuards(JwtGuard)
      class Staffed {
        @Get() @RateLimit('1/min') get() {
          return 'ok';
        }
      }
      const app = await start({
        controllers: [Staffed],
        options: { exempt: ({ user }) => (user as { isStaff?: boolean }).isStaff === true },
      });
      expect(await statuses(app, 3, '/', { as: 'staff' })).toEqual([200, 200, 200]);
      expect(await statuses(app, 2, '/', { as: 'alice' })).toEqual([200, 429]);
      expect(app.logged).toEqual([]);
    });
  });

  test('two routes of one scope share it across stages', async () => {
    @Controller()
    class Shared {
      @Get('plain') @ThrottleScope('shared') plain() {
        return 'ok';
      }
      @Get('guarded') @UseGuards(OptionalJwtGuard) @ThrottleScope('shared') guarded() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Shared],
      options: { scopes: { shared: { rate: '3/min', key: 'user|ip' } } },
    });
    expect(await statuses(app, 2, '/plain')).toEqual([200, 200]);
    expect(await statuses(app, 2, '/guarded')).toEqual([200, 429]);
    expect(await statuses(app, 3, '/guarded', { as: 'alice' })).toEqual([200, 200, 200]);
  });
});
