import { inspect } from 'node:util';
import {
  MemoryStore,
  RateLimit,
  RateLimitConfigError,
  RateLimitModule,
  type RateLimitModuleOptions,
  SkipRateLimit,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { type AppOptions, codesOf, serve } from '../support/app.js';

/** The errors that keep an application from starting. */
async function errorsOf(given: AppOptions) {
  try {
    await (await serve('express', given)).close();
    return { problems: [], codes: [], message: '' };
  } catch (error) {
    if (!(error instanceof RateLimitConfigError)) throw error;
    return { problems: error.problems, codes: codesOf(error), message: error.message };
  }
}

describe('configuration errors at start-up', () => {
  test('one exception lists all errors, each with its code, its source and its fix', async () => {
    const { codes, message, problems } = await errorsOf({
      routes: {
        'POST /auth/login': ThrottleScope('logn'),
        'POST /auth/register': RateLimit('10/month' as '10/min'),
        '/auth/report': RateLimit({ rate: '10/min', key: 'usr' as 'user' }),
        '/auth/search': RateLimit({ rate: '10/min', cost: -1 }),
        '/auth/twins': [
          RateLimit({ name: 'twin', rate: '10/min' }),
          RateLimit({ name: 'twin', rate: '20/min' }),
        ],
        '/auth/tiers': RateLimit({ rate: { free: '1/min' } as never, key: 'user' }),
        '/auth/bucket': RateLimit({ rate: '10/min', algorithm: 'token-bucket', burst: 5, cost: 6 }),
        '/auth/burst': RateLimit({ rate: '10/min', burst: 5 }),
        '/auth/block': RateLimit({ rate: '10/min', block: '0min' }),
        '/auth/name': RateLimit({ name: 'größe', rate: '10/min' }),
        '/auth/algorithm': RateLimit({ rate: '10/min', algorithm: 'leaky' as 'fixed-window' }),
        '/auth/huge': RateLimit({ rate: '999999999999/day', algorithm: 'token-bucket' }),
        '/auth/option': RateLimit({ rate: '10/min', costs: 3 } as never),
      },
      decorators: [SkipRateLimit('brust')],
      options: {
        scopes: { login: '5/15min', 'b ad': '1/min', wrong: 'many' as '1/s' },
        limits: [
          { name: 'burst', rate: '60/min' },
          { name: 'burst', rate: '70/min' },
          { name: 'zero', rate: '5/0s' },
        ],
        ipv6Prefix: 0,
        headers: { retryAfter: 'Retry After' },
        tier: (context) => context.user?.tier,
      },
    });
    expect(codes).toEqual([
      'bad-option RateLimitModule',
      'bad-header-name headers',
      'bad-scope-name scopes.b ad',
      'bad-rate scopes.wrong',
      'bad-rate limits[2]',
      'duplicate-name limits',
      'unknown-skip Shop',
      'unknown-scope Shop.login',
      'bad-rate Shop.register',
      'bad-key Shop.report',
      'bad-cost Shop.search',
      'duplicate-name Shop.twins',
      'bad-tiers Shop.tiers',
      'bad-burst Shop.bucket',
      'bad-burst Shop.burst',
      'bad-duration Shop.block',
      'bad-name Shop.name',
      'bad-policy Shop.algorithm',
      'bad-policy Shop.huge',
      'bad-option Shop.option',
    ]);
    expect(message).toMatch(/^20 errors in the rate limit configuration:\n/);
    for (const { code, fix } of problems) {
      expect(message).toContain(`[${code}] `);
      expect(message).toContain(fix);
    }
  });

  test('tiers need a tier function', async () => {
    const { problems } = await errorsOf({
      routes: { '/': RateLimit({ rate: { free: '1/min', default: '1/min' }, key: 'user' }) },
    });
    expect(problems).toEqual([
      expect.objectContaining({ code: 'bad-tiers', fix: expect.stringContaining('tier: (context) =>') }),
    ]);
  });

  test.each(['', 'usr', 'ip|', '+ip', 'header:', 'header:a b', 'ip:1', 'user+', 'IP', 'cookie'])(
    'the key %j is an error',
    async (key) => {
      const { codes } = await errorsOf({ options: { key: key as 'ip' } });
      expect(codes).toEqual(['bad-key key']);
    },
  );

  test('an unknown option of the module is an error', async () => {
    const { message } = await errorsOf({ options: { limit: [] } as RateLimitModuleOptions });
    expect(message).toBe(
      '[bad-option] RateLimitModule: Unknown option "limit". The options are store, scopes, algorithm, failMode, timeoutMs, instances, breaker, limits, key, tier, user, exempt, enabled, headers, body, secret, shadow, allow, deny, trustProxy, logDenials, logIdentities, meter, statistics, ipv6Prefix.',
    );
  });

  test('@SkipRateLimit with a name that no outer limit has is an error, even if the route itself has one', async () => {
    const { codes, problems } = await errorsOf({
      routes: { '/': [SkipRateLimit('own'), RateLimit({ name: 'own', rate: '1/min' })] },
      options: { limits: [{ name: 'burst', rate: '60/min' }] },
    });
    expect(codes).toEqual(['unknown-skip Shop.get']);
    expect(problems[0]?.fix).toContain('These do: burst.');
  });

  test('errors are also found with enabled: false', async () => {
    const { codes } = await errorsOf({ options: { enabled: false, scopes: { login: 'x' as '1/s' } } });
    expect(codes).toEqual(['bad-rate scopes.login']);
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
      const { codes, problems } = await errorsOf({ options: { [name]: value } });
      expect(codes).toEqual(['bad-option RateLimitModule']);
      expect(problems[0]?.message).toMatch(new RegExp(`^${name} cannot be `));
      expect(problems[0]?.fix).not.toBe('');
    },
  );

  test.each(Object.keys(wrong))('%s: undefined means the default', async (name) => {
    expect((await errorsOf({ options: { [name]: undefined } })).problems).toEqual([]);
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
    expect((await errorsOf({ options })).problems).toEqual([]);
  });

  test('an error does not show the contents of an invalid value', async () => {
    const { problems } = await errorsOf({ options: { store: { password: 'hunter2' } as never } });
    expect(problems.map(({ message }) => message)).toEqual(['store cannot be { password }.']);
  });

  test('one exception lists all invalid options', async () => {
    const all = Object.fromEntries(Object.entries(wrong).map(([name, [value]]) => [name, value]));
    const { problems } = await errorsOf({
      options: { ...all, registerGards: false } as RateLimitModuleOptions,
    });
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
    const { codes } = await errorsOf({
      routes: { '/a': RateLimit('1/min'), '/b': RateLimit('1/min'), '/c': ThrottleScope('login') },
      options: {
        key: 'users' as 'user',
        scopes: { login: '1/min' },
        limits: [{ rate: '1/min' }],
      },
    });
    expect(codes).toEqual(['bad-key key']);
  });

  test('an invalid default algorithm is also one error', async () => {
    const { codes } = await errorsOf({
      routes: { '/a': RateLimit('1/min') },
      options: { algorithm: 'leaky' as 'token-bucket' },
    });
    expect(codes).toEqual(['bad-option RateLimitModule']);
  });

  test('a scope with an error still exists for its routes', async () => {
    const { codes } = await errorsOf({
      routes: {
        '/a': ThrottleScope('login'),
        '/b': ThrottleScope('login', { cost: 2 }),
        '/c': ThrottleScope('logout'),
      },
      options: { scopes: { login: '5/month' as '5/min' } },
    });
    expect(codes).toEqual(['bad-rate scopes.login', 'unknown-scope Shop.c']);
  });

  const names = 'Give an object of header names, or false for none.';
  test.each<[object, string]>([
    [{ legasy: false }, 'headers: Unknown option "legasy". The options are legacy, standard, retryAfter.'],
    [
      { legacy: { limits: 'X' } },
      'headers.legacy: Unknown option "limits". The options are limit, remaining, reset.',
    ],
    [
      { standard: { limit: 'X' } },
      'headers.standard: Unknown option "limit". The options are policy, limits.',
    ],
    [{ legacy: true }, `headers: legacy cannot be true. ${names}`],
    [{ standard: null }, `headers: standard cannot be null. ${names}`],
  ])('headers: %j', async (headers, error) => {
    const { problems, message } = await errorsOf({ options: { headers } });
    expect(problems).toHaveLength(1);
    expect(message).toBe(`[bad-option] ${error}`);
  });

  test.each([5, true, '', 'Retry After', 'Warte\n'])('headers: a name cannot be %j', async (name) => {
    const { codes } = await errorsOf({ options: { headers: { retryAfter: name as string } } });
    expect(codes).toEqual(['bad-header-name headers']);
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
    [{ block: ['5min', '1min'] }, 'bad-duration', 'get shorter. Order them from short to long.'],
    [{ block: Array(101).fill('1min') }, 'bad-duration', 'has 101 durations. Give at most 100.'],
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
      'countWhen cannot be 401. Give a function of the context and the result',
    ],
    [{ methods: 'POST' }, 'bad-option', `methods cannot be "POST". Give a list, such as ['POST', 'PUT'].`],
    [{ methods: ['get'] }, 'bad-option', 'methods cannot hold "get". Give a list of methods in capital'],
    [{ methods: ['GET', 'FETCH'] }, 'bad-option', 'methods cannot hold "FETCH".'],
    [{ methods: null }, 'bad-option', 'methods cannot be null.'],
    [{ methods: [undefined] }, 'bad-option', 'methods cannot hold undefined.'],
    [{ methods: [] }, 'bad-option', 'methods is empty, so the limit would never apply. Name the methods, or'],
    [{ rate: ['5/min'] }, 'bad-rate', 'a list is not a rate: a limit takes one rate.'],
    [{ rate: undefined }, 'bad-rate', 'is not a rate'],
    [{ rate: { limit: 10, ttl: 60 } }, 'bad-rate', 'use window instead of ttl, as in { limit: 10, window: '],
    [{ rate: '5/fortnight' }, 'bad-rate', '"fortnight" is not one of the units s, sec, second'],
    [{ rate: '5/15mins' }, 'bad-rate', '"mins" is not one of the units'],
    [{ rate: '5/MIN' }, 'bad-rate', '"MIN" is not one of the units'],
  ];

  describe.each<[string, string, (limit: never) => AppOptions]>([
    ['a decorator', 'Shop.get', (limit) => ({ routes: { '/': RateLimit(limit) } })],
    ['a limit of the module', 'limits[0]', (limit) => ({ options: { limits: [limit] } })],
    ['a scope', 'scopes.login', (limit) => ({ options: { scopes: { login: limit } } })],
  ])('in %s', (where, source, declare) => {
    const cases = where === 'a scope' ? wrong.filter(([options]) => !('name' in options)) : wrong;
    test.each(cases)('%j', async (options, code, said) => {
      const { codes, message } = await errorsOf(declare({ rate: '5/min', ...options } as never));
      expect(codes).toEqual([`${code} ${source}`]);
      expect(message).toContain(said);
    });
  });

  test.each<[unknown, string, string]>([
    [['5/min'], 'bad-rate', '[bad-rate] Shop.get: a list is not a rate: a limit takes one rate.'],
    [{ limit: 10, ttl: 60 }, 'bad-rate', `use window instead of ttl, as in { limit: 10, window: '1min' }`],
    [{ limit: 10 }, 'bad-rate', 'it has no window'],
    [{ rat: '5/min' }, 'bad-tiers', '{ rat } has neither a rate, as a limit has, nor a default'],
    [{ short: { limit: 1, ttl: 1_000 } }, 'bad-tiers', '{ short } has neither a rate, as a limit has, nor'],
    [{ free: '1/min', pro: '5/min' }, 'bad-tiers', "to a map of tiers add default: '<rate>'"],
  ])('@RateLimit cannot take %j', async (given, code, said) => {
    const { codes, message } = await errorsOf({ routes: { '/': RateLimit(given as never) } });
    expect(codes).toEqual([`${code} Shop.get`]);
    expect(message).toContain(said);
  });

  test('the exception is printed once, without its list of problems', () => {
    const error = new RateLimitConfigError([
      { code: 'bad-rate', source: 'here', message: 'It is none.', fix: 'Fix it.' },
    ]);
    expect(inspect(error)).toContain('[bad-rate] here: It is none. Fix it.');
    expect(inspect(error)).not.toContain('problems');
    expect(error.problems).toHaveLength(1);
  });

  test.each<[unknown, string]>([
    ['60/min', 'Expected an object of options, but got "60/min". Give an object. A limit looks like { name'],
    [null, 'Expected an object of options, but got null.'],
    [['60/min'], 'Expected an object of options, but got a list.'],
    [{ rate: '60/min', per: 'x' }, `per cannot be "x". Give 'route', or leave it out.`],
    [{ name: 'ten', limit: 10, ttl: 60 }, 'Unknown options "limit", "ttl". The options are name, rate,'],
  ])('a limit of the module cannot be %j', async (given, said) => {
    const { problems, message } = await errorsOf({
      options: { limits: [{ name: 'fine', rate: '60/min' }, given as never] },
    });
    expect(problems).toHaveLength(1);
    expect(message).toContain(said);
  });

  test('per is an option only of limits of the module', async () => {
    expect(
      (await errorsOf({ routes: { '/': RateLimit({ rate: '5/min', per: 'route' } as never) } })).message,
    ).toContain('Unknown option "per".');
  });

  test.each<[unknown, string]>([
    [{ rate: '9/min' }, 'Unknown option "rate". The options are key, cost, phase. @ThrottleScope only'],
    [{ key: 'ip', shadow: true }, 'Unknown option "shadow".'],
    [{ name: 'own' }, 'Unknown option "name".'],
    [null, 'Expected an object of options, but got null.'],
    ['user', 'Expected an object of options, but got "user".'],
  ])('@ThrottleScope cannot override %j', async (overrides, said) => {
    const { codes, message } = await errorsOf({
      routes: { '/': ThrottleScope('login', overrides as never) },
      options: { scopes: { login: '5/min' } },
    });
    expect(codes).toEqual(['bad-option Shop.get']);
    expect(message).toContain(said);
  });

  test('@ThrottleScope may override the key, cost and phase', async () => {
    expect(
      (
        await errorsOf({
          routes: {
            '/a': ThrottleScope('login', { key: 'global', cost: 2, phase: 'after-guards' }),
            '/b': ThrottleScope('login', { phase: 'before-guards' }),
          },
          options: { scopes: { login: '5/min' } },
        })
      ).problems,
    ).toEqual([]);
  });
});
