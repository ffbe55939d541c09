import { RateLimit, type RateLimitContext, rate, ThrottleScope } from 'nestjs-ratelimit';
import {
  configErrorOf,
  platforms,
  routes,
  serve,
  starter,
  statuses,
  type TestApp,
  throwing,
  times,
} from '../support/app.js';

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(resolve, value));

const Rates = routes({
  '/five': RateLimit('5/15min'),
  '/short': RateLimit('100/5m'),
  '/seconds': RateLimit('100/300s'),
  '/object': RateLimit({ rate: { limit: 100, window: '5min' } }),
  '/hour': RateLimit('100/hour'),
  '/h': RateLimit('100/h'),
  '/never': RateLimit('0/min'),
  '/null': RateLimit(null),
  '/unlimited': RateLimit('unlimited'),
  '/configured': RateLimit(rate('2/min')),
  '/callable': RateLimit({
    rate: (context) => (context.user?.isStaff === true ? '1000/h' : '100/h'),
    key: 'user|ip',
    name: 'callable',
  }),
  '/callable-later': RateLimit({
    rate: async (context) => later(context.user?.isStaff === true ? '1000/h' : '100/h'),
    key: 'user|ip',
  }),
  '/callable-null': RateLimit({ rate: () => null }),
  '/callable-unlimited': RateLimit({ rate: async () => later('unlimited' as const) }),
  '/callable-wrong': RateLimit({ rate: () => 'many' as '1/s' }),
  '/callable-throws': RateLimit({ rate: throwing(new Error('no database')) }),
  '/tiers': RateLimit({
    rate: { free: '2/min', pro: '5/min', enterprise: null, default: '1/min' },
    key: 'user',
  }),
  '/cost': RateLimit({ rate: '6/min', cost: 2 }),
  '/cost-of': RateLimit({
    rate: '5/min',
    cost: ({ request }: RateLimitContext) => Number((request.query as { cost: string }).cost),
  }),
});

const tier = (context: RateLimitContext) => context.user?.tier;

describe.each(platforms)('rates on %s', (platform) => {
  const start = starter(platform, { controllers: [Rates] });

  test('a rate function without a valid rate causes a 503, never a 500, and is logged', async () => {
    const app = await start({ options: { tier } });
    for (const path of ['/callable-wrong', '/callable-throws']) {
      const answer = await app.get(path);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
      expect(answer.json.error).toBe('rate_limit_unavailable');
    }
    const said = app.logged.filter((line) => line.includes('returned no rate'));
    expect(said).toEqual([
      // With the whole fix.
      expect.stringMatching(/^Shop\.callableWrong: .* or 'unlimited'\."$/),
      expect.stringContaining('no database'),
    ]);
  });
});

describe('rates', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await serve('fastify', { controllers: [Rates], options: { tier } });
  });
  afterEach(() => app.store.clear());
  afterAll(() => app.close());

  test('A1 5/15min: five pass, the sixth is denied with a wait of 1 to 900 seconds', async () => {
    expect(await statuses(app, 5, '/five')).toEqual(times(5, 200));
    const denied = await app.get('/five');
    expect(denied.status).toBe(429);
    const wait = Number(denied.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(900);
    app.clock.advance(wait * 1_000);
    expect((await app.get('/five')).status).toBe(200);
  });

  test('A2 the same rate in another notation is the same rate', async () => {
    const policyOf = async (path: string) =>
      (await app.get(path)).headers.get('ratelimit-policy')?.replace(/^"[^"]*"/, '');
    expect(await policyOf('/short')).toBe(';q=100;w=300');
    for (const path of ['/seconds', '/object']) expect(await policyOf(path)).toBe(';q=100;w=300');
    expect(await policyOf('/hour')).toBe(await policyOf('/h'));
    expect(await policyOf('/hour')).toBe(';q=100;w=3600');
    expect(await policyOf('/configured')).toBe(';q=2;w=60');
  });

  test('A4 0/min always denies, with no Retry-After', async () => {
    const denied = await app.get('/never');
    expect([denied.status, denied.headers.get('retry-after')]).toEqual([429, null]);
    app.clock.advance('1h');
    expect((await app.get('/never')).status).toBe(429);
  });

  test('A5 null and unlimited allow everything and store nothing, also from a function', async () => {
    for (const path of ['/null', '/unlimited', '/callable-null', '/callable-unlimited']) {
      expect(await statuses(app, 50, path)).toEqual(times(50, 200));
      expect((await app.get(path)).headers.get('ratelimit')).toBeNull();
    }
    expect(app.store.size).toBe(0);
  });

  test('A6 a function gives staff another rate, synchronously or asynchronously', async () => {
    for (const path of ['/callable', '/callable-later']) {
      expect((await app.get(path, { as: 'staff' })).headers.get('x-ratelimit-limit')).toBe('1000');
      expect((await app.get(path, { as: 'alice' })).headers.get('x-ratelimit-limit')).toBe('100');
      expect((await app.get(path)).headers.get('x-ratelimit-limit')).toBe('100');
    }
  });

  test('A7 tiers: free 2, pro 5, the default for an unknown tier, no limit for null', async () => {
    expect(await statuses(app, 3, '/tiers', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 6, '/tiers', { as: 'bob' })).toEqual([...times(5, 200), 429]);
    expect(await statuses(app, 2, '/tiers', { as: 'carol' })).toEqual([200, 429]);
    expect(await statuses(app, 30, '/tiers', { as: 'dave' })).toEqual(times(30, 200));
  });

  test('A28 costs: 2 at 6/min leaves room for three', async () => {
    expect(await statuses(app, 4, '/cost')).toEqual([200, 200, 200, 429]);
  });

  test('A28 costs 1, 3 and 1 at 5/min pass, the next 1 does not; 6 never passes, without Retry-After', async () => {
    for (const cost of [1, 3, 1]) expect((await app.get(`/cost-of?cost=${cost}`)).status).toBe(200);
    const full = await app.get('/cost-of?cost=1');
    expect([full.status, full.headers.get('retry-after')]).toEqual([429, '60']);
    app.store.clear();
    const never = await app.get('/cost-of?cost=6');
    expect([never.status, never.headers.get('retry-after')]).toEqual([429, null]);
    expect(never.json.details).toMatchObject({
      retry_after_seconds: null,
      retry_after_timestamp: null,
      retry_after_human: null,
    });
    expect((await app.get('/cost-of?cost=5')).status).toBe(200);
  });

  test('an invalid cost counts as 1 and is logged once', async () => {
    for (const cost of ['-1', '1.5', 'x', '1e99']) {
      expect((await app.get(`/cost-of?cost=${cost}`)).status).toBe(200);
    }
    expect((await app.get('/cost-of?cost=1')).headers.get('x-ratelimit-remaining')).toBe('0');
    expect(app.logged.filter((line) => line.includes('The cost is not a whole number'))).toHaveLength(1);
  });

  test('a cost of 0 passes without a charge', async () => {
    for (let i = 0; i < 10; i++) expect((await app.get('/cost-of?cost=0')).status).toBe(200);
    expect((await app.get('/cost-of?cost=5')).status).toBe(200);
  });
});

describe('A3 an invalid rate', () => {
  const starting = async (limit: unknown) => {
    const controllers = [routes({ '/': RateLimit(limit as '1/s') })];
    await (await serve('express', { controllers })).close();
  };

  test.each([
    '-5/m',
    'abc',
    '5/0s',
    '10/month',
    '1.5/s',
    '10/m extra',
    ' 10/m',
    '10/M',
    '10 / m',
    '',
    '/',
    '10/',
    '10/0',
    '１０/m',
    '99999999999999999/s',
    '10/99999999999w',
    '5/1.5min',
    undefined,
    10,
    [],
    {},
    { limit: -1, window: '1min' },
    { limit: 1.5, window: '1min' },
    { limit: 1, window: '0s' },
    { limit: 1, windowMs: 0 },
    { limit: 1, windowMs: -60_000 },
    { limit: 1 },
    { limit: Number.NaN, window: '1min' },
  ])('%j is an error at start-up that names the handler', async (limit) => {
    const error = await configErrorOf(starting(limit));
    const { problems } = error;
    expect(problems).toHaveLength(1);
    expect(problems[0]?.code).toMatch(/^bad-(rate|duration|tiers)$/);
    expect(problems[0]?.source).toBe('Shop.get');
    expect(problems[0]?.fix).not.toBe('');
  });

  test('an unknown scope is an error at start-up that names the existing scopes', async () => {
    await expect(
      serve('fastify', { routes: { '/': ThrottleScope('logn') }, options: { scopes: { login: '5/min' } } }),
    ).rejects.toThrow(
      '[unknown-scope] Shop.get: There is no scope "logn". Declare it under scopes of RateLimitModule, or use one of: login.',
    );
  });
});
