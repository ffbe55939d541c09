import {
  presets,
  RateLimit,
  RateLimiter,
  type RateLimitModuleOptions,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import {
  type AppOptions,
  type Call,
  codesOf,
  configErrorOf,
  routes,
  starter,
  statuses,
  times,
} from '../support/app.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const scopes = { login: ['5/15min', { rate: '8/day', key: 'body:email' }] } as const;

const Auth = routes({ 'POST /login': ThrottleScope('login'), 'POST /token': ThrottleScope('login') });

const attempt = (email: string, from: string): Call => ({ method: 'POST', body: { email }, from });

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
let runs = 0;

describe('a scope of several limits', () => {
  const start = starter('fastify', { controllers: [Auth] });
  /** The application on a store of each kind, with the clock that it goes by. */
  const startOn = async (
    kind: 'memory' | 'Redis',
    options: RateLimitModuleOptions,
    more: AppOptions = {},
  ) => {
    const clock = new TestClock(Date.now());
    if (kind === 'memory') return { ...(await start({ clock, options, ...more })), clock };
    const store = new RedisStore({ url: redis.url, prefix: `several-${runs++}`, clock });
    return {
      // So patient that the store decides, however busy the machine is.
      ...(await start({
        options: { secret: 'a secret of tests', timeoutMs: 60_000, ...options, store },
        ...more,
      })),
      clock,
    };
  };

  describe.each(['memory', 'Redis'] as const)('on %s', (kind) => {
    test('each limit counts by its own key and name, and routes share both buckets', async () => {
      const app = await startOn(kind, { scopes });
      const [one, two] = ['203.0.113.1', '203.0.113.2'];
      expect(await statuses(app, 3, '/login', attempt('alice', one))).toEqual(times(3, 201));
      expect(await statuses(app, 2, '/token', attempt('Alice', one))).toEqual(times(2, 201));
      const byAddress = await app.get('/login', attempt('bob', one));
      expect([byAddress.status, byAddress.json.details.throttle_type]).toEqual([429, 'login']);
      expect(byAddress.headers.get('ratelimit-policy')).toBe('"login";q=5;w=900, "login-1";q=8;w=86400');
      expect(await statuses(app, 4, '/login', attempt('alice', two))).toEqual([201, 201, 201, 429]);
      const byAccount = await app.get('/token', attempt('ALICE ', '203.0.113.3'));
      expect([byAccount.status, byAccount.json.details.throttle_type]).toEqual([429, 'login-1']);
      // Requests that the account limit denied were charged to no address.
      expect(await statuses(app, 3, '/login', attempt('carol', two))).toEqual([201, 201, 429]);
    });

    test('RateLimiter charges all of them', async () => {
      const app = await startOn(kind, { scopes });
      const limiter = app.app.get(RateLimiter);
      const identity = 'ip:203.0.113.1';
      const outcome = await limiter.consume({ scope: 'login', identity, cost: 2 });
      expect(outcome.decisions.map(({ name, remaining }) => [name, remaining])).toEqual([
        ['login', 3],
        ['login-1', 6],
      ]);
      expect((await limiter.peek({ scope: 'login', identity })).decisions).toHaveLength(2);
      expect(await statuses(app, 4, '/login', attempt('x', '203.0.113.1'))).toEqual([201, 201, 201, 429]);
      await limiter.reset({ scope: 'login', identity });
      expect((await app.get('/login', attempt('x', '203.0.113.1'))).status).toBe(201);
    });

    test('blocks grow with each offense up to the last duration, and offenses are forgotten after it', async () => {
      const app = await startOn(
        kind,
        {},
        {
          routes: { '/': RateLimit({ rate: '1/s', block: ['1min', '15min', '1d'] }) },
        },
      );
      const wait = async () => {
        await app.get('/');
        const denied = await app.get('/');
        return [denied.status, Number(denied.headers.get('retry-after'))];
      };
      for (const seconds of [60, 900, 86_400, 86_400]) {
        expect(await wait()).toEqual([429, seconds]);
        app.clock.advance(seconds * 1_000 - 1);
        expect((await app.get('/')).status).toBe(429);
        app.clock.advance(1);
      }
      app.clock.advance('2d');
      expect(await wait()).toEqual([429, 60]);
    });
  });

  test('one use may cost more, under all of its limits', async () => {
    const app = await start({
      routes: { 'POST /login': ThrottleScope('login', { cost: 3 }), 'POST /token': ThrottleScope('login') },
      options: { scopes },
    });
    const answer = await app.get('/login', attempt('alice', '203.0.113.1'));
    expect(answer.headers.get('ratelimit')).toMatch(/"login";r=2.*"login-1";r=5/);
    expect((await app.get('/login', attempt('alice', '203.0.113.1'))).status).toBe(429);
    expect((await app.get('/token', attempt('alice', '203.0.113.1'))).status).toBe(201);
  });

  test('one use of a scope with a single limit may change the key', async () => {
    const app = await start({
      routes: { 'POST /a': ThrottleScope('one'), 'POST /b': ThrottleScope('one', { key: 'body:email' }) },
      options: { scopes: { one: ['1/min'] } },
    });
    const call = attempt('alice', '203.0.113.1');
    expect([await statuses(app, 2, '/a', call), await statuses(app, 2, '/b', call)]).toEqual([
      [201, 429],
      [201, 429],
    ]);
  });

  test('invalid declarations are errors at start-up', async () => {
    const error = await configErrorOf(
      start({
        routes: {
          '/key': ThrottleScope('login', { key: 'user' }),
          '/rate': ThrottleScope('login', { rate: '1/min' } as never),
          '/block': RateLimit({ rate: '1/min', block: ['15min', '1min'] }),
          '/broken': ThrottleScope('twins'),
        },
        options: {
          scopes: {
            ...scopes,
            empty: [],
            twins: ['1/min', { name: 'twins', rate: '5/hour' }],
            numbered: ['1/min', '5/hour', { name: 'numbered-1', rate: '9/day' }],
            wrong: ['1/min', 'many' as '1/s'],
            option: ['1/min', { rate: '5/hour', costs: 2 } as never],
          },
        },
      }),
    );
    expect(codesOf(error).sort()).toEqual([
      'bad-duration Shop.block',
      'bad-option Shop.key',
      'bad-option Shop.rate',
      'bad-option scopes.option',
      'bad-rate scopes.empty',
      'bad-rate scopes.wrong',
      'duplicate-name scopes.numbered',
      'duplicate-name scopes.twins',
    ]);
  });

  test('A32 shadow: true of the module applies to all limits that do not set it', async () => {
    const app = await start({
      routes: {
        '/a': RateLimit('1/min'),
        '/b': RateLimit({ rate: '1/min', shadow: false }),
        '/c': ThrottleScope('several'),
      },
      options: { shadow: true, scopes: { several: ['1/min', { rate: '2/min', shadow: false }] } },
    });
    expect(await statuses(app, 5, '/a')).toEqual(times(5, 200));
    expect((await app.get('/a')).headers.get('x-ratelimit-limit')).toBeNull();
    expect(await statuses(app, 2, '/b')).toEqual([200, 429]);
    expect(await statuses(app, 3, '/c')).toEqual([200, 200, 429]);
    expect(
      app.denials.filter((line) => JSON.stringify(line).includes('Shadow rate limit exceeded')),
    ).toHaveLength(2);
  });

  test('presets spread into scopes start without a warning and limit as documented', async () => {
    const app = await start({
      routes: {
        'POST /login': ThrottleScope('login'),
        '/register': ThrottleScope('register'),
        '/api': ThrottleScope('publicApi'),
        '/expensive': ThrottleScope('expensive'),
      },
      options: {
        scopes: {
          ...presets.login,
          ...presets.register,
          ...presets.publicApi,
          ...presets.expensive,
          search: '1/min',
        },
      },
    });
    expect(app.logged).toEqual([]);
    const from = '203.0.113.1';
    expect(await statuses(app, 6, '/login', attempt('alice', from))).toEqual([...times(5, 201), 429]);
    const others = [];
    for (let i = 0; i < 16; i++) others.push((await app.get('/login', attempt(`user-${i}`, from))).status);
    expect(others).toEqual([...times(15, 201), 429]);
    const far = [];
    for (let i = 0; i < 96; i++)
      far.push((await app.get('/login', attempt('alice', `198.51.100.${i}`))).status);
    expect(far).toEqual([...times(95, 201), 429]);
    expect(await statuses(app, 4, '/register')).toEqual([...times(3, 200), 429]);
    expect(await statuses(app, 61, '/api', { as: 'alice' })).toEqual([...times(60, 200), 429]);
    expect((await app.get('/api')).status).toBe(200);
    expect(await statuses(app, 11, '/expensive', { as: 'alice' })).toEqual([...times(10, 200), 429]);
    const many = [];
    for (let i = 0; i < 91; i++) many.push((await app.get('/expensive', { from: `198.51.100.${i}` })).status);
    expect(many).toEqual([...times(90, 200), 429]);
  });

  test('a route whose limits all count values that a client can invent causes a warning; a limit by address prevents it', async () => {
    const app = await start({
      routes: {
        'POST /a': RateLimit({ rate: '1/min', key: 'header:x-api-key' }),
        'POST /b': RateLimit({ rate: '1/min', key: 'user|body:email' }),
        'POST /c': RateLimit({ rate: '1/min', key: 'ip+body:email' }),
        'POST /d': [RateLimit({ rate: '9/min', key: 'ip' }), RateLimit({ rate: '1/min', key: 'cookie:sid' })],
        'POST /e': [
          RateLimit({ rate: '9/min', key: 'ip', shadow: true }),
          RateLimit({ rate: '1/min', key: 'query:q' }),
        ],
      },
    });
    const warned = app.warned.filter((line) => line.includes('a client can invent'));
    expect(warned.map((line) => line.split(':')[0])).toEqual(['Shop.a', 'Shop.b', 'Shop.e']);
  });
});
