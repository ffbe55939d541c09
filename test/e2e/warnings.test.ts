import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
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

  test('name a static limit that can never deny', async () => {
    @Controller()
    class Redundant {
      @Get('a') @RateLimit({ name: 'wide', rate: '100/min' }) a() {}
      @Get('b') @RateLimit({ name: 'dear', rate: '100/hour', cost: 2 }) b() {}
      @Get('c') @RateLimit({ name: 'short', rate: '50/s' }) c() {}
      @Get('d') @RateLimit({ name: 'other-key', rate: '100/min', key: 'global' }) d() {}
      @Get('e') @RateLimit({ name: 'bucket', rate: '100/min', algorithm: 'token-bucket' }) e() {}
    }
    const limits = [{ name: 'burst', rate: '60/min' }] as const;
    expect(await warningsOf({ controllers: [Redundant], options: { limits } })).toEqual([
      'The limit "wide" of Redundant.a has no effect: "burst" of limits[0] always denies first. Remove one of them.',
    ]);
  });

  test('name one of two equal limits', async () => {
    @Controller()
    class Same {
      @Get()
      @RateLimit({ name: 'first', rate: '10/min' })
      @RateLimit({ name: 'second', rate: '10/min' })
      get() {}
    }
    expect(await warningsOf({ controllers: [Same] })).toHaveLength(1);
  });

  test('do not name a limit that denies on one route, because the tighter one is skipped there', async () => {
    @Controller()
    class Skipping {
      @Get('both') both() {}
      @Get('wide') @SkipRateLimit('tight') wide() {}
    }
    @Controller('same')
    class Both {
      @Get('both') both() {}
    }
    const limits = [
      { name: 'tight', rate: '5/min' },
      { name: 'wide', rate: '10/min' },
    ] as const;
    expect(await warningsOf({ controllers: [Skipping], options: { limits } })).toEqual([]);
    expect(await warningsOf({ controllers: [Both], options: { limits } })).toEqual([
      expect.stringContaining('The limit "wide" of limits[1] has no effect'),
    ]);
  });

  test('do not name a limit if different limits deny first on different routes', async () => {
    @Controller()
    @RateLimit({ name: 'inner', rate: '8/min' })
    @RateLimit({ name: 'class', rate: '10/min' })
    class Split {
      @Get('a') @SkipRateLimit('outer') a() {}
      @Get('b') @SkipRateLimit('inner') b() {}
    }
    const limits = [{ name: 'outer', rate: '9/min' }] as const;
    expect(await warningsOf({ controllers: [Split], options: { limits } })).toEqual([]);
  });

  test('do not name a limit if the tighter one applies only to some methods or conditions', async () => {
    @Controller()
    class Some {
      @Get('methods')
      @RateLimit({ name: 'all', rate: '10/min' })
      @RateLimit({ name: 'writes', rate: '1/min', methods: ['POST'] })
      methods() {}
      @Get('when')
      @RateLimit({ name: 'all', rate: '10/min' })
      @RateLimit({ name: 'some', rate: '1/min', when: () => false })
      when() {}
    }
    expect(await warningsOf({ controllers: [Some] })).toEqual([]);
  });

  test('name a limit that denies every request because of its cost', async () => {
    @Controller()
    class Dear {
      @Get('dear') @RateLimit({ name: 'dear', rate: '5/min', cost: 6 }) dear() {}
      @Get('fits') @RateLimit({ rate: '5/min', cost: 5 }) fits() {}
      @Get('closed') @RateLimit('0/min') closed() {}
      @Get('asked') @RateLimit({ rate: '5/min', cost: () => 6 }) asked() {}
      @Get('shadow') @RateLimit({ rate: '5/min', cost: 6, shadow: true }) shadow() {}
    }
    expect(await warningsOf({ controllers: [Dear] })).toEqual([
      'The limit "dear" of Dear.dear denies every request: each costs 6, and the limit admits at most 5. Lower the cost or raise the limit.',
    ]);
  });

  test('name a limit on a method that Nest never calls for a request', async () => {
    @Injectable()
    class Service {
      @RateLimit('1/min') work() {}
    }
    expect(await warningsOf({ providers: [Service] })).toEqual([
      expect.stringContaining('Service.work has limits, but Nest calls it for no request'),
    ]);
  });

  test('name a limit on a class whose methods Nest never calls for a request', async () => {
    @Injectable()
    @RateLimit('1/min')
    class Service {
      work() {}
    }
    expect(await warningsOf({ providers: [Service] })).toEqual([
      'Service has limits, but Nest calls it for no request, so nothing decides them.',
    ]);
  });

  test('name routes with limits but without a guard that decides them', async () => {
    @Controller()
    class Open {
      @Get('a') @RateLimit('1/min') a() {
        return 'ok';
      }
      @Get('b') @UseGuards(RateLimitGuard) @RateLimit('1/min') b() {
        return 'ok';
      }
      @Get('c') c() {
        return 'ok';
      }
    }
    const app = await start({ controllers: [Open], root: unregistered });
    expect(await statuses(app, 3, '/a')).toEqual(times(3, 200));
    expect(app.logged).toEqual([
      'Open.a has limits, but no guard decides them. Remove registerGuard: false, or add @UseGuards(RateLimitGuard).',
    ]);
  });

  describe('about routes whose limits are all decided after the other guards', () => {
    const text =
      "all limits are decided after the other guards, so requests that these reject, such as guessed passwords and tokens, are not limited. Add a limit with key: 'ip', or with phase: 'before-guards'.";

    test('name them in one warning', async () => {
      @Controller()
      @UseGuards(StrictGuard)
      class Three {
        @Get('a') @RateLimit({ rate: '5/min', key: 'user' }) a() {}
        @Get('b') @RateLimit({ rate: '5/min', key: 'user|ip' }) b() {}
        @Get('c') @RateLimit({ rate: '5/min', phase: 'after-guards' }) c() {}
      }
      @Controller()
      @UseGuards(StrictGuard)
      class Two {
        @Get('a') @RateLimit({ rate: '5/min', key: 'anon' }) a() {}
        @Get('b') @RateLimit({ rate: () => '5/min', phase: 'after-guards' }) b() {}
      }
      @Controller()
      @UseGuards(StrictGuard)
      class One {
        @Get('one') @RateLimit({ rate: '5/min', key: 'user' }) one() {}
      }
      expect(await warningsOf({ controllers: [Three] })).toEqual([`Three.a and 2 others: ${text}`]);
      expect(await warningsOf({ controllers: [Two] })).toEqual([`Two.a and 1 other: ${text}`]);
      expect(await warningsOf({ controllers: [One] })).toEqual([`One.one: ${text}`]);
    });

    test('are not logged with an earlier limit, without another guard, or without limits', async () => {
      @Controller()
      class Fine {
        @Get('a')
        @UseGuards(StrictGuard)
        @RateLimit({ rate: '5/min', key: 'user' })
        @RateLimit({ rate: '50/min', key: 'ip' })
        a() {}
        @Get('b') @RateLimit({ rate: '5/min', key: 'user|ip' }) b() {}
        @Get('c') @UseGuards(StrictGuard) c() {}
        @Get('d') @UseGuards(StrictGuard) @RateLimit('5/min') d() {}
      }
      expect(await warningsOf({ controllers: [Fine] })).toEqual([]);
      expect(await warningsOf({ controllers: [Fine], options: { exempt: () => false } })).toEqual([]);
    });

    test('are not logged with an earlier limit of the module', async () => {
      @Controller()
      class Login {
        @Get() @UseGuards(StrictGuard) @RateLimit({ rate: '5/min', key: 'user' }) get() {}
      }
      const limits = [{ name: 'all', rate: '99/min', key: 'ip' }] as const;
      expect(await warningsOf({ controllers: [Login], options: { limits } })).toEqual([]);
    });

    const warningsBeside = (limit: RateLimitOptions) => {
      @Controller()
      @UseGuards(StrictGuard)
      class Guarded {
        @Get()
        @RateLimit({ name: 'user', rate: '5/min', key: 'user' })
        @RateLimit({ name: 'beside', ...limit } as RateLimitOptions)
        get() {}
      }
      return warningsOf({ controllers: [Guarded] });
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
      expect(await warningsBeside(limit)).toEqual([`Guarded.get: ${text}`]);
    });
  });

  describe('about a subclass of the guard that never decides, because the registered guard runs first', () => {
    @Injectable()
    class OwnGuard extends RateLimitGuard {}
    @Controller()
    class Limited {
      @Get() @RateLimit('1/min') get() {}
    }
    @Controller()
    class Free {
      @Get() get() {}
    }
    const said =
      'OwnGuard never decides, because the registered guard runs first. Set registerGuard: false for RateLimitModule.';

    test.each([
      ['default', Scope.DEFAULT],
      ['request', Scope.REQUEST],
      ['transient', Scope.TRANSIENT],
    ])('as APP_GUARD of %s scope', async (_name, scope) => {
      const providers = [{ provide: APP_GUARD, useClass: OwnGuard, scope }];
      expect(await warningsOf({ controllers: [Limited], providers })).toEqual([said]);
      expect(await warningsOf({ controllers: [Limited], providers, root: unregistered })).toEqual([]);
      expect(await warningsOf({ controllers: [Free], providers })).toEqual([]);
    });

    test('in @UseGuards', async () => {
      @Controller()
      @UseGuards(OwnGuard)
      class Own {
        @Get() @RateLimit('1/min') get() {}
      }
      expect(await warningsOf({ controllers: [Own] })).toEqual([said]);
      expect(await warningsOf({ controllers: [Own], root: unregistered })).toEqual([]);
    });

    test('are not logged if the registered guard is registered again', async () => {
      const providers = [{ provide: APP_GUARD, useExisting: RateLimitGuard }];
      expect(await warningsOf({ controllers: [Limited], providers })).toEqual([]);
    });
  });

  test('are not logged for a correct configuration', async () => {
    @Controller()
    class Fine {
      @Get() @RateLimit('10/min') @ThrottleScope('shared') get() {}
    }
    const options: AppOptions['options'] = {
      scopes: { shared: '1000/day' },
      limits: [
        { name: 'anon', rate: '100/hour', key: 'anon' },
        { name: 'user', rate: '1000/hour', key: 'user' },
        { name: 'burst', rate: '60/min', key: 'user|ip' },
      ],
    };
    expect(await warningsOf({ controllers: [Fine], options })).toEqual([]);
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
    @Controller()
    @UseInterceptors(LateAuth)
    class Late {
      @Get() @RateLimit({ rate: '2/min', key: 'user' }) get() {
        return 'ok';
      }
      @Get('by-address') @RateLimit('9/min') byAddress() {
        return 'ok';
      }
    }
    const app = await start({ controllers: [Late] });
    expect(await statuses(app, 5, '/')).toEqual(times(5, 200));
    expect(app.logged).toEqual([]);
    expect(await statuses(app, 5, '/', { as: 'alice' })).toEqual(times(5, 200));
    expect(app.logged).toEqual([
      expect.stringContaining('Late.get: request.user was set only after its limits were decided'),
    ]);
    expect(await statuses(app, 3, '/by-address', { as: 'alice' })).toEqual(times(3, 200));
    expect(app.logged).toHaveLength(1);
  });
});

describe('warnings while requests run', () => {
  const start = starter('fastify', { middleware: false });

  describe('about a limit that is only for logged-in users', () => {
    @Controller()
    class ForUsers {
      @Get('user') @RateLimit({ name: 'own', rate: '2/min', key: 'user' }) user() {
        return 'ok';
      }
      @Get('guarded')
      @UseGuards(new AuthGuard())
      @RateLimit({ name: 'own', rate: '2/min', key: 'user' })
      @RateLimit({ name: 'all', rate: '999/min', key: 'ip' })
      guarded() {
        return 'ok';
      }
      @Get('scope') @ThrottleScope('own') scope() {
        return 'ok';
      }
      @Get('either') @RateLimit({ name: 'either', rate: '999/min', key: 'user|ip' }) either() {
        return 'ok';
      }
    }

    const options = { scopes: { own: { rate: '2/min', key: 'user' } } } as const;

    test.each(['user', 'guarded', 'scope'])(
      'are logged once after a hundred callers, none of whom was logged in: %s',
      async (path) => {
        const app = await start({ controllers: [ForUsers], options });
        expect(await statuses(app, 99, `/${path}`)).toEqual(times(99, 200));
        expect(app.logged).toEqual([]);
        expect(await statuses(app, 101, `/${path}`)).toEqual(times(101, 200));
        expect(app.logged).toEqual([
          `ForUsers.${path}: "own" is only for logged-in users, and none of the first 100 clients was logged in, so it limited nobody. Authenticate in middleware or in a guard, or use key: 'user|ip'.`,
        ]);
        expect(app.warned).toEqual(app.logged);
      },
    );

    test('are not logged once a user was logged in, nor for a limit that also counts addresses', async () => {
      const app = await start({ controllers: [ForUsers], options, middleware: true });
      await app.get('/user', { as: 'alice' });
      await app.get('/guarded', { as: 'alice' });
      await app.get('/scope', { as: 'alice' });
      for (const path of ['/user', '/guarded', '/scope', '/either']) await statuses(app, 120, path);
      expect(app.logged).toEqual([]);
    });

    test('are not logged for requests that an earlier limit denies before guards have set the user', async () => {
      @Controller()
      class Flooded {
        @Get()
        @UseGuards(new AuthGuard())
        @RateLimit({ name: 'own', rate: '2/min', key: 'user' })
        @RateLimit({ name: 'all', rate: '1/min', key: 'ip' })
        get() {
          return 'ok';
        }
      }
      const app = await start({ controllers: [Flooded] });
      expect(await statuses(app, 201, '/')).toEqual([200, ...times(200, 429)]);
      expect(app.logged).toEqual([]);
    });

    test('are not logged for a limit of the module, which may have public routes', async () => {
      @Controller()
      class Public {
        @Get() get() {
          return 'ok';
        }
      }
      const app = await start({
        controllers: [Public],
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
