import { Controller, Get, Inject, Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  MemoryStore,
  type Outcome,
  RateLimit,
  type RateLimitAsyncResult,
  RateLimitConfigError,
  RateLimiter,
  RateLimitGuard,
  RateLimitModule,
  type RateLimitOptionsFactory,
  rate,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { moduleOf, platforms, serve, statuses, type TestApp, times } from '../support/app.js';

@Controller()
class Shop {
  @Get('login') @ThrottleScope('login') login() {
    return 'ok';
  }
}

const RATES = Symbol('rates');

@Module({ providers: [{ provide: RATES, useValue: { login: '2/min' } }], exports: [RATES] })
class RatesModule {}

@Injectable()
class OptionsOfRates implements RateLimitOptionsFactory {
  constructor(@Inject(RATES) private readonly rates: { login: string }) {}
  async createRateLimitOptions(): Promise<RateLimitAsyncResult> {
    return { scopes: { login: rate(this.rates.login) } };
  }
}

describe.each(platforms)('RateLimitModule on %s', (platform) => {
  const apps: TestApp[] = [];
  const start = async (options: Parameters<typeof serve>[1]) => {
    const app = await serve(platform, { controllers: [Shop], ...options });
    apps.push(app);
    return app;
  };
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
  });

  test('forRootAsync with useFactory', async () => {
    const app = await start({
      root: (store) =>
        RateLimitModule.forRootAsync({
          imports: [RatesModule],
          inject: [RATES],
          useFactory: async (rates: { login: string }) => ({ store, scopes: { login: rate(rates.login) } }),
        }),
    });
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('forRootAsync with useClass', async () => {
    const app = await start({
      root: () => RateLimitModule.forRootAsync({ imports: [RatesModule], useClass: OptionsOfRates }),
    });
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('forRootAsync with useExisting', async () => {
    @Module({ imports: [RatesModule], providers: [OptionsOfRates], exports: [OptionsOfRates] })
    class OptionsModule {}
    const app = await start({
      root: () => RateLimitModule.forRootAsync({ imports: [OptionsModule], useExisting: OptionsOfRates }),
    });
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('forRootAsync without a registered guard', async () => {
    const app = await start({
      root: () =>
        RateLimitModule.forRootAsync({
          registerGuard: false,
          useFactory: () => ({ scopes: { login: '1/min' } }),
        }),
    });
    expect(await statuses(app, 3, '/login')).toEqual(times(3, 200));
  });

  test('forRootAsync takes one way to make its options', () => {
    expect(() => RateLimitModule.forRootAsync({})).toThrow(RateLimitConfigError);
    expect(() => RateLimitModule.forRootAsync({ useFactory: () => ({}), useClass: OptionsOfRates })).toThrow(
      'one of useFactory',
    );
  });

  test('registerGuard inside the factory comes too late, and is an error', async () => {
    const root = () =>
      RateLimitModule.forRootAsync({
        useFactory: () => ({ registerGuard: false, scopes: { login: '1/min' } }),
      });
    await expect(start({ root })).rejects.toThrow('Move it beside useFactory');
  });

  test('forFeature adds scopes beside the module that uses them', async () => {
    @Controller('uploads')
    class Uploads {
      @Get() @ThrottleScope('upload') get() {
        return 'ok';
      }
    }
    @Module({
      imports: [RateLimitModule.forFeature({ scopes: { upload: '1/day' } })],
      controllers: [Uploads],
    })
    class UploadModule {}
    const app = await start({ imports: [UploadModule], options: { scopes: { login: '2/min' } } });
    expect(await statuses(app, 2, '/uploads')).toEqual([200, 429]);
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('the same scope declared alike in two features is one scope, declared otherwise an error', async () => {
    const feature = (scope: '1/day' | '2/day') =>
      moduleOf({ imports: [RateLimitModule.forFeature({ scopes: { upload: scope } })] }, `Feature${scope}`);
    await start({ imports: [feature('1/day'), feature('1/day')], options: { scopes: { login: '2/min' } } });
    await expect(
      start({ imports: [feature('1/day'), feature('2/day')], options: { scopes: { login: '2/min' } } }),
    ).rejects.toThrow('[duplicate-name] forFeature.scopes.upload');
  });

  test('a second forRoot is an error', async () => {
    const imports = [RateLimitModule.forRoot({ scopes: { login: '9/min' } })];
    await expect(start({ imports, options: { scopes: { login: '2/min' } } })).rejects.toThrow(
      'imported twice',
    );
  });

  test('a handler and the service share a scope, and the service is there from the start', async () => {
    const early: Outcome[] = [];
    @Injectable()
    class Early implements OnModuleInit {
      constructor(private readonly limiter: RateLimiter) {}
      async onModuleInit() {
        early.push(await this.limiter.consume({ scope: 'login', identity: 'ip:127.0.0.1' }));
      }
    }
    const app = await start({ providers: [Early], options: { scopes: { login: '3/min' } } });
    expect(early[0]?.binding?.remaining).toBe(2);
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
    const limiter = app.app.get(RateLimiter);
    expect((await limiter.peek({ scope: 'login', identity: 'ip:127.0.0.1' })).allowed).toBe(false);
    await limiter.reset({ scope: 'login', identity: 'ip:127.0.0.1' });
    expect(await statuses(app, 1, '/login')).toEqual([200]);
    await limiter.block({ identity: 'ip:127.0.0.1', for: '15min' });
    expect((await app.get('/login')).headers.get('retry-after')).toBe('900');
    await limiter.unblock({ identity: 'ip:127.0.0.1' });
    expect((await app.get('/login')).status).toBe(200);
  });

  test('A33 a peek never spends', async () => {
    const app = await start({ options: { scopes: { login: '2/min' } } });
    const limiter = app.app.get(RateLimiter);
    for (let i = 0; i < 20; i++) {
      const outcome = await limiter.peek({ scope: 'login', identity: 'ip:127.0.0.1' });
      expect([outcome.allowed, outcome.binding?.remaining]).toEqual([true, 2]);
    }
    expect(app.store.size).toBe(0);
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('A24 of 50 requests at once, exactly 10 pass, also under three limits, of which each is charged 10', async () => {
    @Controller()
    class Parallel {
      @Get('one') @RateLimit('10/min') one() {
        return 'ok';
      }
      @Get('three')
      @RateLimit({ name: 'tight', rate: '10/min' })
      @RateLimit({ name: 'loose', rate: '1000/hour' })
      @RateLimit({ name: 'bucket', rate: '500/min', algorithm: 'token-bucket' })
      three() {
        return 'ok';
      }
    }
    const app = await start({ controllers: [Parallel] });
    for (const path of ['/one', '/three']) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => app.get(path)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
      expect(answers.filter(({ status }) => status === 429)).toHaveLength(40);
    }
    const { headers } = await app.get('/three');
    expect(headers.get('ratelimit')).toBe('"tight";r=0;t=60, "loose";r=990;t=3600, "bucket";r=490;t=2');
  });

  test('with no options at all, decorators work', async () => {
    @Controller()
    class Bare {
      @Get() @RateLimit('1/min') get() {
        return 'ok';
      }
    }
    const app = await start({ controllers: [Bare], root: () => RateLimitModule.forRoot() });
    expect(await statuses(app, 2, '/')).toEqual([200, 429]);
  });
});

describe('RateLimitModule under test', () => {
  test('overrideProvider replaces the registered guard', async () => {
    const module = await Test.createTestingModule({
      imports: [RateLimitModule.forRoot({ scopes: { login: '1/min' } })],
      controllers: [Shop],
    })
      .overrideProvider(RateLimitGuard)
      .useValue({ canActivate: () => true })
      .compile();
    const app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    for (let i = 0; i < 3; i++) expect((await fetch(`${await app.getUrl()}/login`)).status).toBe(200);
    await app.close();
  });

  test('a store is cleared between tests', async () => {
    const store = new MemoryStore();
    const module = await Test.createTestingModule({
      imports: [RateLimitModule.forRoot({ store, scopes: { login: '1/min' } })],
      controllers: [Shop],
    }).compile();
    const app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    for (let i = 0; i < 3; i++) {
      expect((await fetch(`${await app.getUrl()}/login`)).status).toBe(200);
      expect((await fetch(`${await app.getUrl()}/login`)).status).toBe(429);
      store.clear();
    }
    await app.close();
  });

  test('forFeature without forRoot says what is missing', async () => {
    await expect(
      Test.createTestingModule({
        imports: [RateLimitModule.forFeature({ scopes: { login: '1/min' } })],
      }).compile(),
    ).rejects.toThrow('Import RateLimitModule.forRoot in the root module.');
  });
});
