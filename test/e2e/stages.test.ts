import {
  type CallHandler,
  type CanActivate,
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
  type LimitInfo,
  RateLimit,
  type RateLimitContext,
  RateLimiter,
  RateLimitGuard,
  RateLimitModule,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { AuthGuard, authenticate, platforms, serve, statuses, type TestApp, times } from '../support/app.js';

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

describe.each(platforms)('limits and authentication on %s', (platform) => {
  const apps: TestApp[] = [];
  const start = async (
    ...given: Parameters<typeof serve> extends [unknown, infer Options] ? [Options] : never
  ) => {
    const app = await serve(platform, { middleware: false, ...given[0] });
    apps.push(app);
    return app;
  };
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
  });

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

  const cases: [name: string, options: () => Parameters<typeof serve>[1]][] = [
    ['@UseGuards on the class', () => ({ controllers: [routes(JwtGuard)] })],
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
    [
      'a request-scoped APP_GUARD',
      () => ({
        controllers: [routes()],
        providers: [{ provide: APP_GUARD, useClass: JwtGuard, scope: Scope.REQUEST }],
      }),
    ],
  ];

  describe.each(cases)('A23a with %s', (_name, options) => {
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
  });

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

  test('a user who is set behind all guards is warned about once', async () => {
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

  test('limits without a guard are warned about', async () => {
    @Controller()
    class Open {
      @Get() @RateLimit('1/min') get() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Open],
      root: (store) => RateLimitModule.forRoot({ store, registerGuard: false }),
    });
    expect(await statuses(app, 3, '/')).toEqual(times(3, 200));
    expect(app.logged).toEqual([expect.stringContaining('Open.get has limits, but no guard decides them')]);
  });

  test('a subclass of the guard says who is charged, who is skipped and what a denial does', async () => {
    @Injectable()
    class OwnGuard extends RateLimitGuard {
      protected override identity(context: RateLimitContext, limit: LimitInfo<RateLimitContext>) {
        return context.header('x-tenant') === undefined
          ? super.identity(context, limit)
          : `tenant:${context.header('x-tenant')}`;
      }
      protected override shouldSkip(context: RateLimitContext) {
        return context.header('x-internal') === 'yes' || super.shouldSkip(context);
      }
      protected override deny(...args: Parameters<RateLimitGuard['deny']>): never {
        args[0].execution.switchToHttp().getResponse().header('x-denied', 'yes');
        return super.deny(...args);
      }
    }
    @Controller()
    class Own {
      @Get() @RateLimit('1/min') get() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Own],
      providers: [OwnGuard, { provide: APP_GUARD, useExisting: OwnGuard }],
      root: (store) => RateLimitModule.forRoot({ store, registerGuard: false }),
    });
    const of = (tenant: string) => ({ headers: { 'x-tenant': tenant } });
    expect(await statuses(app, 2, '/', of('a'))).toEqual([200, 429]);
    expect(await statuses(app, 2, '/', of('b'))).toEqual([200, 429]);
    expect((await app.get('/', of('a'))).headers.get('x-denied')).toBe('yes');
    await app.app.get(RateLimiter).reset({ identity: 'tenant:a' });
    expect((await app.get('/', of('a'))).status).toBe(200);
    expect(await statuses(app, 5, '/', { headers: { 'x-internal': 'yes' } })).toEqual(times(5, 200));
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
