import { type INestApplication, Inject, Injectable, Module, type OnModuleInit, Scope } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  MemoryStore,
  type Outcome,
  RATE_LIMIT_STORE,
  RateLimit,
  type RateLimitAsyncResult,
  RateLimitConfigError,
  RateLimiter,
  RateLimitGuard,
  RateLimitModule,
  type RateLimitModuleAsyncOptions,
  type RateLimitOptionsFactory,
  type RateLimitScope,
  rate,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import {
  configErrorOf,
  moduleOf,
  platforms,
  routes,
  serve,
  starter,
  statuses,
  times,
} from '../support/app.js';
import { storeWith } from '../support/stores.js';

const Shop = routes({ '/login': ThrottleScope('login') });

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
  test('the store is closed once, when the application closes', async () => {
    for (const options of [{}, { enabled: false }]) {
      const store = new MemoryStore();
      let closed = 0;
      const counting = storeWith(store, {
        close: async () => {
          closed++;
          store.close();
        },
      });
      const app = await serve(platform, {
        controllers: [Shop],
        options: { ...options, store: counting, scopes: { login: '1/min' } },
      });
      await statuses(app, 2, '/login');
      expect(closed).toBe(0);
      await app.close();
      expect(closed).toBe(1);
    }
  });
});

describe('RateLimitModule', () => {
  const start = starter('express', { controllers: [Shop] });

  @Module({ imports: [RatesModule], providers: [OptionsOfRates], exports: [OptionsOfRates] })
  class OptionsModule {}

  test.each<[string, RateLimitModuleAsyncOptions]>([
    [
      'useFactory',
      {
        imports: [RatesModule],
        inject: [RATES],
        useFactory: async (rates: { login: string }) => ({ scopes: { login: rate(rates.login) } }),
      },
    ],
    ['useClass', { imports: [RatesModule], useClass: OptionsOfRates }],
    ['useExisting', { imports: [OptionsModule], useExisting: OptionsOfRates }],
  ])('forRootAsync with %s', async (_how, options) => {
    const app = await start({ root: () => RateLimitModule.forRootAsync(options) });
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

  test.each<[string, RateLimitModuleAsyncOptions]>([
    ['useFactory', { inject: [RATES], useFactory: (rates) => ({ scopes: { login: rates.login } }) }],
    ['useClass', { useClass: OptionsOfRates }],
  ])('forRootAsync with %s does not start if the options are request-scoped', async (_how, options) => {
    @Module({
      providers: [{ provide: RATES, useFactory: () => ({ login: '2/min' }), scope: Scope.REQUEST }],
      exports: [RATES],
    })
    class RequestRatesModule {}
    const error = await configErrorOf(
      start({
        root: () => RateLimitModule.forRootAsync({ imports: [RequestRatesModule], ...options }),
      }),
    );
    expect(error.message).toBe(
      '[bad-option] The options of RateLimitModule depend on a request-scoped provider, so nothing would be limited. Inject only providers of the default scope; put what depends on the request into functions of the context.',
    );
  });

  test('a store need not have a close method', async () => {
    const { close: _close, ...store } = storeWith(new MemoryStore(), {});
    const app = await serve('express', {
      controllers: [Shop],
      options: { store, scopes: { login: '1/min' } },
    });
    expect(await statuses(app, 2, '/login')).toEqual([200, 429]);
    await expect(app.close()).resolves.toBeUndefined();
  });

  test('forRootAsync takes exactly one way to create its options', () => {
    expect(() => RateLimitModule.forRootAsync({})).toThrow(RateLimitConfigError);
    expect(() => RateLimitModule.forRootAsync({ useFactory: () => ({}), useClass: OptionsOfRates })).toThrow(
      'one of useFactory',
    );
  });

  test('registerGuard in the result of the factory is an error', async () => {
    const root = () =>
      RateLimitModule.forRootAsync({
        useFactory: () => ({ registerGuard: false, scopes: { login: '1/min' } }),
      });
    await expect(start({ root })).rejects.toThrow('Move it beside useFactory');
  });

  test('forFeature adds the scopes of a feature module', async () => {
    @Module({
      imports: [RateLimitModule.forFeature({ scopes: { upload: '1/day' } })],
      controllers: [routes({ '/uploads': ThrottleScope('upload') })],
    })
    class UploadModule {}
    const app = await start({ imports: [UploadModule], options: { scopes: { login: '2/min' } } });
    expect(await statuses(app, 2, '/uploads')).toEqual([200, 429]);
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('two features may declare the same scope with the same options, but not with different ones', async () => {
    const feature = (scope: '1/day' | '2/day') =>
      moduleOf({ imports: [RateLimitModule.forFeature({ scopes: { upload: scope } })] }, `Feature${scope}`);
    await start({ imports: [feature('1/day'), feature('1/day')], options: { scopes: { login: '2/min' } } });
    await expect(
      start({ imports: [feature('1/day'), feature('2/day')], options: { scopes: { login: '2/min' } } }),
    ).rejects.toThrow(
      '[duplicate-name] Feature2/day.scopes.upload: The scope "upload" is already declared with other options at Feature1/day.scopes.upload.',
    );
  });

  describe('functions in the scopes of two features', () => {
    const feature = (scope: RateLimitScope, name: string) =>
      moduleOf({ imports: [RateLimitModule.forFeature({ scopes: { upload: scope } })] }, name);
    const starting = (a: RateLimitScope, b: RateLimitScope) =>
      start({
        imports: [feature(a, 'Feature'), feature(b, 'Other')],
        options: { scopes: { login: '2/min' } },
      });
    const rateOf = (limit: number) => () => ({ limit, window: '1min' }) as const;
    const keyOf = (name: string) => () => name;
    const [hour, other] = [rateOf(1), rateOf(1)];
    const [key, otherKey] = [keyOf('a'), keyOf('b')];

    test.each<[string, RateLimitScope, RateLimitScope]>([
      ['as rates', hour, other],
      ['as rates with options', { rate: hour, cost: 2 }, { rate: other, cost: 2 }],
      ['as keys', { rate: '1/min', key }, { rate: '1/min', key: otherKey }],
      ['as costs', { rate: '1/min', cost: () => 1 }, { rate: '1/min', cost: () => 1 }],
    ])('are different even if their code is equal: %s', async (_as, a, b) => {
      await expect(starting(a, b)).rejects.toThrow('[duplicate-name] Other.scopes.upload');
    });

    test.each<[string, RateLimitScope, RateLimitScope]>([
      ['a rate', hour, hour],
      ['a rate with options', { rate: hour, cost: 2 }, { cost: 2, rate: hour }],
      ['a key', { rate: { limit: 1, window: '1min' }, key }, { rate: { limit: 1, window: '1min' }, key }],
    ])('are equal if they are the same function: %s', async (_as, a, b) => {
      await expect(starting(a, b)).resolves.toBeDefined();
    });
  });

  test('a second forRoot is an error', async () => {
    const imports = [RateLimitModule.forRoot({ scopes: { login: '9/min' } })];
    await expect(start({ imports, options: { scopes: { login: '2/min' } } })).rejects.toThrow(
      'imported twice',
    );
  });

  test('a handler and RateLimiter share a scope, and RateLimiter can be used in onModuleInit', async () => {
    const early: Outcome[] = [];
    @Injectable()
    class Early implements OnModuleInit {
      constructor(private readonly limiter: RateLimiter) {}
      async onModuleInit() {
        early.push(await this.limiter.consume({ scope: 'login', identity: 'ip:127.0.0.1' }));
      }
    }
    const app = await start({ providers: [Early], options: { scopes: { login: '3/min' } } });
    expect(early[0]?.decidedBy?.remaining).toBe(2);
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
    const limiter = app.app.get(RateLimiter);
    expect((await limiter.peek({ scope: 'login', identity: 'ip:127.0.0.1' })).allowed).toBe(false);
  });

  test('A33 a peek never charges', async () => {
    const app = await start({ options: { scopes: { login: '2/min' } } });
    const limiter = app.app.get(RateLimiter);
    for (let i = 0; i < 20; i++) {
      const outcome = await limiter.peek({ scope: 'login', identity: 'ip:127.0.0.1' });
      expect([outcome.allowed, outcome.decidedBy?.remaining]).toEqual([true, 2]);
    }
    expect(app.store.size).toBe(0);
    expect(await statuses(app, 3, '/login')).toEqual([200, 200, 429]);
  });

  test('A24 exactly 10 of 50 parallel requests pass under one limit and under three, each charged 10', async () => {
    const app = await start({
      routes: {
        '/one': RateLimit('10/min'),
        '/three': [
          RateLimit({ name: 'tight', rate: '10/min' }),
          RateLimit({ name: 'loose', rate: '1000/hour' }),
          RateLimit({ name: 'bucket', rate: '500/min', algorithm: 'token-bucket' }),
        ],
      },
    });
    for (const path of ['/one', '/three']) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => app.get(path)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
      expect(answers.filter(({ status }) => status === 429)).toHaveLength(40);
    }
    const { headers } = await app.get('/three');
    expect(headers.get('ratelimit')).toBe('"tight";r=0;t=60, "loose";r=990;t=3600, "bucket";r=490;t=2');
  });
});

describe('RateLimitModule in tests of an application', () => {
  const apps: INestApplication[] = [];
  const listening = async (module: TestingModule) => {
    const app = module.createNestApplication();
    apps.push(app);
    await app.listen(0, '127.0.0.1');
    return app;
  };
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
  });

  test('overrideProvider replaces the registered guard', async () => {
    const module = await Test.createTestingModule({
      imports: [RateLimitModule.forRoot({ scopes: { login: '1/min' } })],
      controllers: [Shop],
    })
      .overrideProvider(RateLimitGuard)
      .useValue({ canActivate: () => true })
      .compile();
    const app = await listening(module);
    for (let i = 0; i < 3; i++) expect((await fetch(`${await app.getUrl()}/login`)).status).toBe(200);
  });

  test('overrideProvider replaces the store, which RateLimiter shares and the application closes', async () => {
    const clock = new TestClock();
    const store = new MemoryStore({ clock });
    let closed = 0;
    const unused = new MemoryStore();
    const module = await Test.createTestingModule({
      imports: [RateLimitModule.forRoot({ store: unused, scopes: { login: '1/min' } })],
      controllers: [Shop],
    })
      .overrideProvider(RATE_LIMIT_STORE)
      .useValue(
        storeWith(store, {
          close: () => {
            closed++;
          },
        }),
      )
      .compile();
    const app = await listening(module);
    const login = async () => (await fetch(`${await app.getUrl()}/login`)).status;
    expect([await login(), await login()]).toEqual([200, 429]);
    clock.advance('1min');
    expect(await login()).toBe(200);
    expect([store.size, unused.size]).toEqual([1, 0]);
    const limiter = app.get(RateLimiter);
    expect((await limiter.peek({ scope: 'login', identity: 'ip:127.0.0.1' })).allowed).toBe(false);
    await app.close();
    apps.pop();
    expect(closed).toBe(1);
    store.close();
  });

  test('the module without forRoot names what is missing', async () => {
    await expect(Test.createTestingModule({ imports: [RateLimitModule] }).compile()).rejects.toThrow(
      'Import RateLimitModule.forRoot({ ... }) in the root module.',
    );
    const Feature = moduleOf({ imports: [RateLimitModule] }, 'Feature');
    const root = RateLimitModule.forRoot({ scopes: { login: '1/min' } });
    const module = await Test.createTestingModule({ imports: [Feature, root] }).compile();
    await module.close();
  });

  test('forFeature without forRoot names what is missing', async () => {
    await expect(
      Test.createTestingModule({
        imports: [RateLimitModule.forFeature({ scopes: { login: '1/min' } })],
      }).compile(),
    ).rejects.toThrow('Import RateLimitModule.forRoot in the root module.');
  });
});
