import { inspect } from 'node:util';
import { Controller, Get, Post } from '@nestjs/common';
import {
  MemoryStore,
  type Problem,
  RateLimit,
  RateLimitConfigError,
  RateLimitModule,
  type RateLimitModuleOptions,
  SkipRateLimit,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { serve } from '../support/app.js';

/** The mistakes that keep an application from starting. */
async function problemsOf(
  controllers: (new () => object)[],
  options: RateLimitModuleOptions = {},
): Promise<{ problems: readonly Problem[]; message: string }> {
  try {
    const app = await serve('express', { controllers, options });
    await app.close();
    return { problems: [], message: '' };
  } catch (error) {
    if (!(error instanceof RateLimitConfigError)) throw error;
    return { problems: error.problems, message: error.message };
  }
}

const codes = (problems: readonly Problem[]) => problems.map(({ code, source }) => `${code} ${source}`);

describe('configuration errors at start-up', () => {
  test('one exception lists all of them, each with its code, its source and its fix', async () => {
    @Controller('auth')
    @SkipRateLimit('brust')
    class AuthController {
      @Post('login') @ThrottleScope('logn') login() {}
      @Post('register') @RateLimit('10/month' as '10/min') register() {}
      @Get('report') @RateLimit({ rate: '10/min', key: 'usr' as 'user' }) report() {}
      @Get('search') @RateLimit({ rate: '10/min', cost: -1 }) search() {}
      @Get('twins')
      @RateLimit({ name: 'twin', rate: '10/min' })
      @RateLimit({ name: 'twin', rate: '20/min' })
      twins() {}
      @Get('tiers') @RateLimit({ rate: { free: '1/min' } as never, key: 'user' }) tiers() {}
      @Get('bucket') @RateLimit({ rate: '10/min', algorithm: 'token-bucket', burst: 5, cost: 6 }) bucket() {}
      @Get('burst') @RateLimit({ rate: '10/min', burst: 5 }) burst() {}
      @Get('block') @RateLimit({ rate: '10/min', block: '0min' }) block() {}
      @Get('name') @RateLimit({ name: 'größe', rate: '10/min' }) name() {}
      @Get('algorithm') @RateLimit({ rate: '10/min', algorithm: 'leaky' as 'fixed-window' }) algorithm() {}
      @Get('huge') @RateLimit({ rate: '999999999999/day', algorithm: 'token-bucket' }) huge() {}
      @Get('option') @RateLimit({ rate: '10/min', costs: 3 } as never) option() {}
    }
    const { problems, message } = await problemsOf([AuthController], {
      scopes: { login: '5/15min', 'b ad': '1/min', wrong: 'many' as '1/s' },
      limits: [
        { name: 'burst', rate: '60/min' },
        { name: 'burst', rate: '70/min' },
        { name: 'zero', rate: '5/0s' },
      ],
      ipv6Prefix: 0,
      headers: { retryAfter: 'Retry After' },
      tier: (context) => context.user?.tier,
    });
    expect(codes(problems)).toEqual([
      'bad-option RateLimitModule',
      'bad-header-name headers',
      'bad-scope-name scopes.b ad',
      'bad-rate scopes.wrong',
      'bad-rate limits[2]',
      'duplicate-name limits',
      'unknown-skip AuthController',
      'unknown-scope AuthController.login',
      'bad-rate AuthController.register',
      'bad-key AuthController.report',
      'bad-cost AuthController.search',
      'duplicate-name AuthController.twins',
      'bad-tiers AuthController.tiers',
      'bad-burst AuthController.bucket',
      'bad-burst AuthController.burst',
      'bad-duration AuthController.block',
      'bad-name AuthController.name',
      'bad-policy AuthController.algorithm',
      'bad-policy AuthController.huge',
      'bad-option AuthController.option',
    ]);
    expect(message).toMatch(/^20 errors in the rate limit configuration:\n/);
    for (const { code, fix } of problems) {
      expect(message).toContain(`[${code}] `);
      expect(message).toContain(fix);
    }
  });

  test('tiers need a tier function', async () => {
    @Controller()
    class Tiers {
      @Get() @RateLimit({ rate: { free: '1/min', default: '1/min' }, key: 'user' }) get() {}
    }
    const { problems } = await problemsOf([Tiers]);
    expect(problems).toEqual([
      expect.objectContaining({ code: 'bad-tiers', fix: expect.stringContaining('tier: (context) =>') }),
    ]);
  });

  test.each(['', 'usr', 'ip|', '+ip', 'header:', 'header:a b', 'ip:1', 'user+', 'IP', 'cookie'])(
    'the key %j is an error',
    async (key) => {
      const { problems } = await problemsOf([], { key: key as 'ip' });
      expect(codes(problems)).toEqual(['bad-key key']);
    },
  );

  test('an unknown option of the module is an error', async () => {
    const { message } = await problemsOf([], { limit: [] } as RateLimitModuleOptions);
    expect(message).toBe(
      '[bad-option] RateLimitModule: Unknown option "limit". The options are store, scopes, algorithm, failMode, timeoutMs, instances, breaker, limits, key, tier, user, exempt, enabled, headers, body, secret, shadow, allow, deny, trustProxy, logDenials, logIdentities, meter, statistics, ipv6Prefix.',
    );
  });

  test.each(['constructor', 'toString', '__proto__'])(
    '%s is an unknown option of the module',
    async (name) => {
      const options = Object.fromEntries([[name, 5]]) as RateLimitModuleOptions;
      const { problems, message } = await problemsOf([], options);
      expect(codes(problems)).toEqual(['bad-option RateLimitModule']);
      expect(message).toContain(`Unknown option "${name}". The options are store, scopes,`);
    },
  );

  test('@SkipRateLimit with a name that no outer limit has is an error, even if the route itself has one', async () => {
    @Controller()
    class Skips {
      @Get() @SkipRateLimit('own') @RateLimit({ name: 'own', rate: '1/min' }) get() {}
    }
    const { problems } = await problemsOf([Skips], { limits: [{ name: 'burst', rate: '60/min' }] });
    expect(codes(problems)).toEqual(['unknown-skip Skips.get']);
    expect(problems[0]?.fix).toContain('These do: burst.');
  });

  test('errors are found also with enabled: false', async () => {
    const { problems } = await problemsOf([], { enabled: false, scopes: { login: 'x' as '1/s' } });
    expect(codes(problems)).toEqual(['bad-rate scopes.login']);
  });
});

describe('invalid options of the module', () => {
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    store: [{}, 'redis', null, { consume() {}, peek() {} }],
    scopes: ['login', null, [], 5],
    limits: ['60/min', {}, null, { name: 'burst', rate: '60/min' }],
    key: [5, null, {}, ['ip']],
    algorithm: ['leaky-bucket', '', 5, null],
    tier: ['free', null, {}],
    user: ['id', null, {}],
    exempt: [true, 'staff', null],
    enabled: ['false', 0, null],
    headers: [true, null, 'X-RateLimit', []],
    body: ['xml', true, null, {}],
    secret: ['', 5, null],
    ipv6Prefix: [0, 129, 64.5, '64', Number.NaN, null],
  };

  test.each(Object.entries(wrong).flatMap(([name, values]) => values.map((value) => [name, value] as const)))(
    '%s: %j',
    async (name, value) => {
      const { problems } = await problemsOf([], { [name]: value });
      expect(codes(problems)).toEqual(['bad-option RateLimitModule']);
      expect(problems[0]?.message).toMatch(new RegExp(`^${name} cannot be `));
      expect(problems[0]?.fix).not.toBe('');
    },
  );

  test.each(Object.keys(wrong))('%s: undefined means the default', async (name) => {
    expect((await problemsOf([], { [name]: undefined })).problems).toEqual([]);
  });

  test.each<[string, RateLimitModuleOptions]>([
    ['store', { store: new MemoryStore() }],
    ['scopes', { scopes: {} }],
    ['limits', { limits: [] }],
    ['key', { key: () => 'everybody' }],
    ['algorithm', { algorithm: 'token-bucket' }],
    ['enabled', { enabled: false }],
    ['headers', { headers: false }],
    ['headers', { headers: {} }],
    ['body', { body: () => '' }],
    ['secret', { secret: ' ' }],
    ['ipv6Prefix', { ipv6Prefix: 1 }],
    ['ipv6Prefix', { ipv6Prefix: 128 }],
  ])('%s: a valid value is accepted', async (_name, options) => {
    expect((await problemsOf([], options)).problems).toEqual([]);
  });

  test('an error describes an invalid value without its contents, which may be circular', async () => {
    class Redis {
      password = 'hunter2';
    }
    const circular: Record<string, unknown> = { password: 'hunter2' };
    circular.self = circular;
    const said = async (store: unknown) =>
      (await problemsOf([], { store } as RateLimitModuleOptions)).problems.map(({ message }) => message);
    expect(await said({ password: 'hunter2' })).toEqual(['store cannot be { password }.']);
    expect(await said(circular)).toEqual(['store cannot be { password, self }.']);
    expect(await said(new Redis())).toEqual(['store cannot be an object of class Redis.']);
    expect(await said(() => 'hunter2')).toEqual(['store cannot be a function.']);
    expect(await said(['hunter2'])).toEqual(['store cannot be a list.']);
  });

  test('all of them are listed in one exception', async () => {
    const all = Object.fromEntries(Object.entries(wrong).map(([name, [value]]) => [name, value]));
    const { problems } = await problemsOf([], { ...all, registerGards: false } as RateLimitModuleOptions);
    expect(
      problems.map(({ message }) => /^(\w+) cannot be|"(\w+)"/.exec(message)?.slice(1).join('')),
    ).toEqual([...Object.keys(wrong), 'registerGards']);
  });

  test.each<[string, () => unknown]>([
    ['forRoot was given null', () => RateLimitModule.forRoot(null as never)],
    ['forRoot was given 5', () => RateLimitModule.forRoot(5 as never)],
    ['forRootAsync was given undefined', () => RateLimitModule.forRootAsync(undefined as never)],
    ['forFeature was given null', () => RateLimitModule.forFeature(null as never)],
    ['forFeature was given undefined', () => RateLimitModule.forFeature({} as never)],
  ])('RateLimitModule.%s', (what, call) => {
    expect(call).toThrow(RateLimitConfigError);
    expect(call).toThrow(`[bad-option] RateLimitModule.${what}. Give it an object of options.`);
  });

  test.each([[undefined], [null], ['options'], [[]], [5]])('a factory that returns %j', async (given) => {
    const root = () => RateLimitModule.forRootAsync({ useFactory: () => given as never });
    await expect(serve('express', { root })).rejects.toThrow(
      /^\[bad-option\] RateLimitModule: Expected an object of options, but got .*\. Give an object\./,
    );
  });

  test('an invalid default key is one error, not one for every limit that uses it', async () => {
    @Controller()
    class Keyed {
      @Get('a') @RateLimit('1/min') a() {}
      @Get('b') @RateLimit('1/min') b() {}
      @Get('c') @ThrottleScope('login') c() {}
    }
    const { problems } = await problemsOf([Keyed], {
      key: 'users' as 'user',
      scopes: { login: '1/min' },
      limits: [{ rate: '1/min' }],
    });
    expect(codes(problems)).toEqual(['bad-key key']);
  });

  test('an invalid default algorithm is also one error', async () => {
    @Controller()
    class Limited {
      @Get('a') @RateLimit('1/min') a() {}
    }
    const { problems } = await problemsOf([Limited], { algorithm: 'leaky' as 'token-bucket' });
    expect(codes(problems)).toEqual(['bad-option RateLimitModule']);
  });

  test('a scope with an error still exists for its routes', async () => {
    @Controller()
    class Scoped {
      @Get('a') @ThrottleScope('login') a() {}
      @Get('b') @ThrottleScope('login', { cost: 2 }) b() {}
      @Get('c') @ThrottleScope('logout') c() {}
    }
    const { problems } = await problemsOf([Scoped], { scopes: { login: '5/month' as '5/min' } });
    expect(codes(problems)).toEqual(['bad-rate scopes.login', 'unknown-scope Scoped.c']);
  });

  test.each<[object, string]>([
    [{ legasy: false }, 'headers: Unknown option "legasy". The options are legacy, standard, retryAfter.'],
    [
      { legacy: { limits: 'X-Limit' } },
      'headers.legacy: Unknown option "limits". The options are limit, remaining, reset.',
    ],
    [
      { standard: { limit: 'X-Limit' } },
      'headers.standard: Unknown option "limit". The options are policy, limits.',
    ],
    [{ legacy: true }, 'headers: legacy cannot be true. Give an object of header names, or false for none.'],
    [
      { standard: null },
      'headers: standard cannot be null. Give an object of header names, or false for none.',
    ],
  ])('headers: %j', async (headers, error) => {
    const { problems, message } = await problemsOf([], { headers });
    expect(problems).toHaveLength(1);
    expect(message).toBe(`[bad-option] ${error}`);
  });

  test.each([5, true, '', 'Retry After', 'Warte\n'])('headers: a name cannot be %j', async (name) => {
    const { problems } = await problemsOf([], { headers: { retryAfter: name as string } });
    expect(codes(problems)).toEqual(['bad-header-name headers']);
  });
});

describe('invalid options of a limit', () => {
  const wrong: [options: object, code: string, said: string][] = [
    [{ shadow: 'yes' }, 'bad-option', 'shadow cannot be "yes". Give true or false.'],
    [{ shadow: 1 }, 'bad-option', 'shadow cannot be 1.'],
    [{ phase: 'user' }, 'bad-option', `phase cannot be "user". Give 'before-guards' or 'after-guards'`],
    [{ phase: ['after-guards'] }, 'bad-option', 'phase cannot be a list.'],
    [{ message: 5 }, 'bad-option', 'message cannot be 5. Give a text'],
    [{ message: '' }, 'bad-option', 'message cannot be "".'],
    [{ block: 'soon' }, 'bad-duration', '"soon" is not a duration.'],
    [{ block: 5 }, 'bad-duration', 'is not a duration.'],
    [{ cost: '2' }, 'bad-cost', 'A cost of "2" cannot be charged.'],
    [{ cost: 1.5 }, 'bad-cost', 'A cost of 1.5 cannot be charged.'],
    [{ key: 5 }, 'bad-key', '5 is not a key.'],
    [{ key: 'usr|ip' }, 'bad-key', '"usr" is not a form of key.'],
    [{ name: '' }, 'bad-name', '"" cannot name a limit.'],
    [{ name: 5 }, 'bad-name', '5 cannot name a limit.'],
    [{ algorithm: 'leaky' }, 'bad-policy', 'There is no algorithm "leaky".'],
    [{ algorithm: 'leaky', rate: () => '5/min' }, 'bad-policy', 'There is no algorithm "leaky".'],
    [{ burst: 5, rate: () => '5/min' }, 'bad-burst', 'sliding-window has no burst.'],
    [{ name: 'größe', rate: () => '5/min' }, 'bad-name', 'cannot name a limit.'],
    [{ costs: 2 }, 'bad-option', 'Unknown option "costs".'],
    [{ constructor: 5 }, 'bad-option', 'Unknown option "constructor". The options are name,'],
    [{ toString: 5 }, 'bad-option', 'Unknown option "toString".'],
    [{ when: true }, 'bad-option', 'when cannot be true. Give a function of the context.'],
    [{ skipIf: null }, 'bad-option', 'skipIf cannot be null. Give a function of the context.'],
    [
      { countWhen: 401 },
      'bad-option',
      'countWhen cannot be 401. Give a function of the context and the result.',
    ],
    [{ methods: 'POST' }, 'bad-option', `methods cannot be "POST". Give a list, such as ['POST', 'PUT'].`],
    [{ methods: ['get'] }, 'bad-option', 'methods cannot hold "get". Give a list of methods in capital'],
    [{ methods: [undefined] }, 'bad-option', 'methods cannot hold undefined.'],
    [
      { methods: [] },
      'bad-option',
      'methods is empty, so the limit would never apply. Name the methods, or leave it out',
    ],
    [{ rate: ['5/min'] }, 'bad-rate', 'a list is not a rate: a limit takes one rate.'],
    [{ rate: undefined }, 'bad-rate', 'is not a rate'],
    [
      { rate: { limit: 10, ttl: 60 } },
      'bad-rate',
      `use window instead of ttl, as in { limit: 10, window: '1min' }`,
    ],
    [{ rate: '5/fortnight' }, 'bad-rate', '"fortnight" is not one of the units s, sec, second'],
    [{ rate: '5/15mins' }, 'bad-rate', '"mins" is not one of the units'],
    [{ rate: '5/MIN' }, 'bad-rate', '"MIN" is not one of the units'],
  ];

  test.each(wrong)('in a decorator: %j', async (options, code, said) => {
    @Controller()
    class Shop {
      @Get() @RateLimit({ rate: '5/min', ...options } as never) get() {}
    }
    const { problems, message } = await problemsOf([Shop]);
    expect(codes(problems)).toEqual([`${code} Shop.get`]);
    expect(message).toContain(said);
  });

  test.each(wrong)('in a limit of the module: %j', async (options, code, said) => {
    const { problems, message } = await problemsOf([], { limits: [{ rate: '5/min', ...options } as never] });
    expect(codes(problems)).toEqual([`${code} limits[0]`]);
    expect(message).toContain(said);
  });

  test.each(wrong.filter(([options]) => !('name' in options)))(
    'in a scope: %j',
    async (options, code, said) => {
      const { problems, message } = await problemsOf([], {
        scopes: { login: { rate: '5/min', ...options } as never },
      });
      expect(codes(problems)).toEqual([`${code} scopes.login`]);
      expect(message).toContain(said);
    },
  );

  test.each<[unknown, string]>([
    [['5/min'], '[bad-rate] Shop.get: a list is not a rate: a limit takes one rate.'],
    [{ limit: 10, ttl: 60 }, `use window instead of ttl, as in { limit: 10, window: '1min' }`],
    [{ limit: 10 }, 'it has no window'],
  ])('a rate cannot be %j', async (given, said) => {
    @Controller()
    class Shop {
      @Get() @RateLimit(given as never) get() {}
    }
    const { problems, message } = await problemsOf([Shop], {});
    expect(codes(problems)).toEqual(['bad-rate Shop.get']);
    expect(message).toContain(said);
  });

  test.each([
    [{ rat: '5/min' }, '{ rat } has neither a rate, as a limit has, nor a default'],
    [{ short: { limit: 1, ttl: 1_000 } }, '{ short } has neither a rate, as a limit has, nor a default'],
    [{ free: '1/min', pro: '5/min' }, "to a map of tiers add default: '<rate>'"],
  ])('neither a limit nor a map of tiers: %j', async (given, said) => {
    @Controller()
    class Shop {
      @Get() @RateLimit(given as never) get() {}
    }
    const { problems, message } = await problemsOf([Shop], {});
    expect(codes(problems)).toEqual(['bad-tiers Shop.get']);
    expect(message).toContain(said);
  });

  test('the exception is printed once, without its list of problems', () => {
    const error = new RateLimitConfigError([
      { code: 'bad-rate', source: 'here', message: 'It is none.', fix: 'Mend it.' },
    ]);
    expect(inspect(error)).toContain('[bad-rate] here: It is none. Mend it.');
    expect(inspect(error)).not.toContain('problems');
    expect(error.problems).toHaveLength(1);
  });

  test.each<[unknown, string]>([
    [
      '60/min',
      `[bad-option] limits[1]: Expected an object of options, but got "60/min". Give an object. A limit looks like { name`,
    ],
    [null, '[bad-option] limits[1]: Expected an object of options, but got null.'],
    [['60/min'], '[bad-option] limits[1]: Expected an object of options, but got a list.'],
    [
      { rate: '60/min', per: 'x' },
      `[bad-option] limits[1]: per cannot be "x". Give 'route', or leave it out.`,
    ],
    [
      { name: 'ten', limit: 10, ttl: 60 },
      '[bad-option] limits[1]: Unknown options "limit", "ttl". The options are name, rate,',
    ],
    [{ name: 'none' }, '[bad-rate] limits[1]: '],
  ])('a limit of the module cannot be %j', async (given, said) => {
    const { problems, message } = await problemsOf([], {
      limits: [{ name: 'fine', rate: '60/min' }, given as never],
    });
    expect(problems).toHaveLength(1);
    expect(message).toContain(said);
  });

  test('per is an option only of limits of the module', async () => {
    @Controller()
    class Shop {
      @Get() @RateLimit({ rate: '5/min', per: 'route' } as never) get() {}
    }
    expect((await problemsOf([Shop])).message).toContain('Unknown option "per".');
  });

  test.each<[unknown, string]>([
    [
      { rate: '9/min' },
      'Unknown option "rate". The options are key, cost, phase. @ThrottleScope only changes',
    ],
    [{ key: 'ip', shadow: true }, 'Unknown option "shadow".'],
    [{ name: 'own' }, 'Unknown option "name".'],
    [null, 'Expected an object of options, but got null.'],
    ['user', 'Expected an object of options, but got "user".'],
  ])('one use of a scope cannot change %j', async (overrides, said) => {
    @Controller()
    class Shop {
      @Get() @ThrottleScope('login', overrides as never) get() {}
    }
    const { problems, message } = await problemsOf([Shop], { scopes: { login: '5/min' } });
    expect(codes(problems)).toEqual(['bad-option Shop.get']);
    expect(message).toContain(said);
  });

  test('one use of a scope may change its key, cost and phase', async () => {
    @Controller()
    class Shop {
      @Get('a') @ThrottleScope('login', { key: 'global', cost: 2, phase: 'after-guards' }) a() {}
      @Get('b') @ThrottleScope('login', { phase: 'before-guards' }) b() {}
    }
    expect((await problemsOf([Shop], { scopes: { login: '5/min' } })).problems).toEqual([]);
  });
});
