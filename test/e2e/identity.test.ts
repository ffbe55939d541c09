import { request as httpRequest } from 'node:http';
import { type CanActivate, type ExecutionContext, UseGuards } from '@nestjs/common';
import { RateLimit, RateLimiter, ThrottleScope } from 'nestjs-ratelimit';
import {
  authenticate,
  type Call,
  platforms,
  routes,
  serve,
  starter,
  statuses,
  type TestApp,
  throwing,
  times,
} from '../support/app.js';

const Identities = routes({
  '/address': RateLimit({ rate: '5/min', key: 'ip', name: 'address' }),
  '/user': RateLimit({ rate: '3/min', key: 'user' }),
  '/user-or-address': RateLimit({ rate: '3/min', key: 'user|ip' }),
  '/api-key': RateLimit({ rate: '4/min', key: 'header:X-Api-Key' }),
  '/together': RateLimit({ rate: '2/min', key: 'ip+header:x-tenant' }),
  '/global': RateLimit({ rate: '3/min', key: 'global' }),
  '/anon': [
    RateLimit({ rate: '10/min', key: 'anon', name: 'anon' }),
    RateLimit({ rate: '100/min', key: 'user', name: 'user' }),
  ],
  '/tenant/:tenant': RateLimit({
    rate: '2/min',
    key: ({ request }) => (request.params as { tenant: string }).tenant,
  }),
  '/empty': RateLimit({ rate: '2/min', key: () => '' }),
  '/number': RateLimit({ rate: '2/min', key: async () => 42 as never }),
  '/undefined': RateLimit({ rate: '2/min', key: () => undefined as unknown as null }),
  '/later': RateLimit({ rate: '2/min', key: async () => Promise.resolve('everyone') }),
  '/fails': RateLimit({ rate: '2/min', key: throwing(new Error('no tenant')) }),
  '/rejects': RateLimit({ rate: '2/min', key: () => Promise.reject(new Error('no tenant')) }),
  '/skips': RateLimit({ rate: '2/min', key: () => null }),
});

/** A GET from another address of the loopback network, over a socket of its own. */
const getFrom = (url: string, localAddress: string, headers: Record<string, string> = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(url, { localAddress, headers, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    request.once('error', reject).end();
  });

describe.each(platforms)('who is charged on %s', (platform) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await serve(platform, { controllers: [Identities] });
  });
  afterEach(() => app.store.clear());
  afterAll(() => app.close());

  test('A8 5/min: of seven requests the last two are denied, and another address is unaffected', async () => {
    expect(await statuses(app, 7, '/address', { from: '203.0.113.7' })).toEqual([
      ...times(5, 200),
      ...times(2, 429),
    ]);
    expect(await statuses(app, 5, '/address', { from: '203.0.113.8' })).toEqual(times(5, 200));
  });

  test('A8 the same with real sockets from different addresses', async () => {
    const seen = [];
    for (let i = 0; i < 7; i++) seen.push(await getFrom(`${app.url}/address`, '127.0.0.1'));
    expect(seen).toEqual([...times(5, 200), ...times(2, 429)]);
    expect(await getFrom(`${app.url}/address`, '127.0.0.2')).toBe(200);
  });

  test('A9 a user limit is shared across addresses, and another user has a bucket of their own', async () => {
    for (const from of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) {
      expect((await app.get('/user', { as: 'alice', from })).status).toBe(200);
    }
    expect((await app.get('/user', { as: 'alice', from: '203.0.113.4' })).status).toBe(429);
    expect((await app.get('/user', { as: 'bob', from: '203.0.113.1' })).status).toBe(200);
  });

  test('A11 each value of a header has its own bucket, and only requests without one charge the address', async () => {
    const keyed = (key: string) => ({ headers: { 'x-api-key': key } });
    expect(await statuses(app, 5, '/api-key', keyed('secret-1'))).toEqual([...times(4, 200), 429]);
    expect((await app.get('/api-key', keyed('secret-2'))).status).toBe(200);
    expect(await statuses(app, 5, '/api-key', { from: '203.0.113.7' })).toEqual([...times(4, 200), 429]);
    expect((await app.get('/api-key', { from: '203.0.113.8', headers: { 'x-api-key': '' } })).status).toBe(
      200,
    );
    expect(await statuses(app, 4, '/api-key', { from: '203.0.113.8' })).toEqual([...times(3, 200), 429]);
  });

  test('A12 an IPv6 /64 is one caller, the next /64 is another, and IPv4-mapped is IPv4', async () => {
    const remaining = async (from: string) =>
      Number((await app.get('/address', { from })).headers.get('x-ratelimit-remaining'));
    expect(await remaining('2001:db8::1')).toBe(4);
    expect(await remaining('2001:db8::2')).toBe(3);
    expect(await remaining('2001:db8:0:0:ffff::9')).toBe(2);
    expect(await remaining('2001:db8:0:1::1')).toBe(4);
    expect(await remaining('203.0.113.7')).toBe(4);
    expect(await remaining('::ffff:203.0.113.7')).toBe(3);
    expect(await remaining('::ffff:cb00:7107')).toBe(2);
  });

  test('values with separators stay separate identities', async () => {
    for (const tenant of [
      'a',
      'a%2Bb',
      'a+b',
      'a:b',
      'x'.repeat(64),
      'x'.repeat(65),
      `~${'x'.repeat(10)}`,
      '%7Ex',
    ]) {
      const path = `/tenant/${encodeURIComponent(tenant)}`;
      expect(await statuses(app, 3, path)).toEqual([200, 200, 429]);
    }
  });
});

describe('who is charged', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await serve('fastify', { controllers: [Identities] });
  });
  afterEach(() => app.store.clear());
  afterAll(() => app.close());

  test('a user limit is skipped for anonymous callers', async () => {
    expect(await statuses(app, 10, '/user')).toEqual(times(10, 200));
    expect((await app.get('/user')).headers.get('x-ratelimit-limit')).toBeNull();
  });

  test('A10 user|ip: an exhausted anonymous address does not limit a signed-in user behind it', async () => {
    expect(await statuses(app, 4, '/user-or-address')).toEqual([...times(3, 200), 429]);
    expect((await app.get('/user-or-address', { as: 'alice' })).status).toBe(200);
  });

  test('ip+header: each pair of an address and a header has its own bucket', async () => {
    const of = (tenant: string, from: string) => ({ from, headers: { 'x-tenant': tenant } });
    expect(await statuses(app, 3, '/together', of('a', '203.0.113.7'))).toEqual([200, 200, 429]);
    expect((await app.get('/together', of('b', '203.0.113.7'))).status).toBe(200);
    expect((await app.get('/together', of('a', '203.0.113.8'))).status).toBe(200);
    expect(await statuses(app, 3, '/together', { from: '203.0.113.9' })).toEqual([200, 200, 429]);
  });

  test('global: all callers share one bucket', async () => {
    for (const from of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) await app.get('/global', { from });
    expect((await app.get('/global', { from: '203.0.113.4', as: 'alice' })).status).toBe(429);
  });

  test('A16 a key function that returns no identity is logged, and the address is charged', async () => {
    for (const path of ['/empty', '/number', '/undefined', '/fails', '/rejects']) {
      expect(await statuses(app, 3, path, { from: '203.0.113.7' })).toEqual([200, 200, 429]);
      expect((await app.get(path, { from: '203.0.113.8' })).status).toBe(200);
    }
    expect(app.logged.filter((line) => line.includes('The key function'))).toEqual([
      expect.stringContaining('Shop.empty: The key function returned no identity'),
      expect.stringContaining('Shop.number: The key function returned no identity'),
      expect.stringMatching(/Shop\.fails: The key function failed.*no tenant/),
      expect.stringMatching(/Shop\.rejects: The key function failed.*no tenant/),
    ]);
  });

  test('A16 a key function that returns null skips the limit', async () => {
    expect(await statuses(app, 10, '/skips')).toEqual(times(10, 200));
    expect(app.store.size).toBe(0);
  });

  test('a key function may be asynchronous', async () => {
    expect(await statuses(app, 3, '/later')).toEqual([200, 200, 429]);
  });

  test('A17 anon 10/min and user 100/min: the eleventh anonymous request is denied, a user gets 100 of 100', async () => {
    expect(await statuses(app, 11, '/anon')).toEqual([...times(10, 200), 429]);
    expect(await statuses(app, 101, '/anon', { as: 'alice' })).toEqual([...times(100, 200), 429]);
  });
});

describe('identities that RateLimiter is given', () => {
  const ByHand = routes({
    '/user': ThrottleScope('user'),
    '/address': ThrottleScope('address'),
    '/key': ThrottleScope('key'),
    '/together': ThrottleScope('together'),
  });
  let app: TestApp;
  beforeAll(async () => {
    app = await serve('fastify', {
      controllers: [ByHand],
      options: {
        scopes: {
          user: { rate: '2/min', key: 'user' },
          address: { rate: '2/min', key: 'ip' },
          key: { rate: '2/min', key: (context) => context.header('x-tenant') },
          together: { rate: '2/min', key: 'ip+user' },
        },
      },
    });
  });
  afterEach(() => app.store.clear());
  afterAll(() => app.close());

  test.each<[scope: string, identity: string | readonly string[], Call]>([
    ['user', 'user:alice', { as: 'alice' }],
    ['user', 'user:bob+tag@example.org', { as: 'tagged' }],
    ['user', ['user:bob%2Btag@example.org'], { as: 'encoded' }],
    ['user', `user:${'x'.repeat(65)}`, { as: 'long' }],
    ['address', 'ip:203.0.113.7', { from: '203.0.113.7' }],
    ['address', 'ip:::ffff:203.0.113.7', { from: '203.0.113.7' }],
    ['address', 'ip:2001:db8:0:1::5', { from: '2001:db8:0:1::1' }],
    ['address', 'ip:2001:db8:0:1::/64', { from: '2001:db8:0:1::1' }],
    ['key', 'key:{acme} north: 100%', { headers: { 'x-tenant': '{acme} north: 100%' } }],
    ['key', `key:${'t'.repeat(100)}`, { headers: { 'x-tenant': 't'.repeat(100) } }],
    ['together', ['ip:2001:db8:0:1::5', 'user:alice'], { as: 'alice', from: '2001:db8:0:1::1' }],
    ['together', ['ip:203.0.113.7', 'user:bob+tag@example.org'], { as: 'tagged', from: '203.0.113.7' }],
  ])('under %s, %s is the identity that the route charges', async (scope, identity, call) => {
    const limiter = app.app.get(RateLimiter);
    const left = async () => (await limiter.peek({ scope, identity })).decidedBy?.remaining;
    expect(await left()).toBe(2);
    expect(await statuses(app, 1, `/${scope}`, call)).toEqual([200]);
    expect(await left()).toBe(1);
    await limiter.consume({ scope, identity });
    expect((await app.get(`/${scope}`, call)).status).toBe(429);
    await limiter.reset({ scope, identity });
    expect(await statuses(app, 3, `/${scope}`, call)).toEqual([200, 200, 429]);
    await limiter.reset({ identity });
    await limiter.block({ identity, for: '15min' });
    expect((await app.get(`/${scope}`, call)).headers.get('retry-after')).toBe('900');
    await limiter.unblock({ identity });
    expect((await app.get(`/${scope}`, call)).status).toBe(200);
  });

  test.each<[scope: string, written: string, Call]>([
    ['user', 'user:bob%2Btag@example.org', { as: 'tagged' }],
    ['key', 'key:%7Bacme%7D%20north:%20100%25', { headers: { 'x-tenant': '{acme} north: 100%' } }],
    ['together', 'ip:2001:db8:0:1::/64+user:alice', { as: 'alice', from: '2001:db8:0:1::1' }],
    ['together', 'ip:203.0.113.7+user:bob%2Btag@example.org', { as: 'tagged', from: '203.0.113.7' }],
  ])(
    'under %s, %s is the identity in canonical form, to reset, block and unblock',
    async (scope, identity, call) => {
      const limiter = app.app.get(RateLimiter);
      expect(await statuses(app, 3, `/${scope}`, call)).toEqual([200, 200, 429]);
      await limiter.reset({ identity });
      expect(await statuses(app, 3, `/${scope}`, call)).toEqual([200, 200, 429]);
      await limiter.reset({ scope, identity });
      await limiter.block({ identity, for: '15min' });
      expect((await app.get(`/${scope}`, call)).headers.get('retry-after')).toBe('900');
      await limiter.unblock({ identity });
      expect((await app.get(`/${scope}`, call)).status).toBe(200);
    },
  );

  test('in consume and peek, a percent sign belongs to the id', async () => {
    const limiter = app.app.get(RateLimiter);
    expect(await statuses(app, 2, '/user', { as: 'tagged' })).toEqual([200, 200]);
    const left = async (identity: string) =>
      (await limiter.peek({ scope: 'user', identity })).decidedBy?.remaining;
    expect(await left('user:bob%2Btag@example.org')).toBe(2);
    await limiter.consume({ scope: 'user', identity: 'user:bob%2Btag@example.org', cost: 2 });
    expect(await left('user:bob%2Btag@example.org')).toBe(0);
    expect((await app.get('/user', { as: 'encoded' })).status).toBe(429);
    await limiter.reset({ identity: 'user:bob+tag@example.org' });
    expect([await left('user:bob+tag@example.org'), await left('user:bob%2Btag@example.org')]).toEqual([
      2, 0,
    ]);
  });

  test('a block of an IPv6 address blocks its /64, and no other', async () => {
    await app.app.get(RateLimiter).block({ identity: 'ip:2001:db8:0:1::5', for: '15min' });
    const status = async (from: string) => (await app.get('/address', { from })).status;
    expect(await status('2001:db8:0:1:ffff::1')).toBe(429);
    expect(await status('2001:db8:0:2::5')).toBe(200);
  });

  test('ipv6Prefix applies to RateLimiter as well', async () => {
    const wide = await serve('fastify', {
      controllers: [ByHand],
      options: {
        ipv6Prefix: 56,
        scopes: { user: '2/min', address: '2/min', key: '2/min', together: '2/min' },
      },
    });
    await wide.app.get(RateLimiter).block({ identity: 'ip:2001:db8:0:1::5', for: '15min' });
    expect((await wide.get('/address', { from: '2001:db8:0:2::5' })).status).toBe(429);
    expect((await wide.get('/address', { from: '2001:db8:0:100::5' })).status).toBe(200);
    await wide.close();
  });
});

/** As Passport leaves a request whose caller it could not authenticate, where it lets it pass. */
class LenientPassport implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest();
    authenticate(request);
    request.user ??= false;
    return true;
  }
}

describe.each(platforms)('callers that Passport could not authenticate on %s', (platform) => {
  const limits = [
    RateLimit({ name: 'anon', rate: '2/min', key: 'anon' }),
    RateLimit({ name: 'user', rate: '3/min', key: 'user' }),
  ];
  const Lenient = routes({ '/guarded': UseGuards(LenientPassport), '/ahead': [] });
  for (const decorate of limits) decorate(Lenient);

  const start = starter(platform, { controllers: [Lenient], middleware: false });

  test.each(['guarded', 'ahead'])('are anonymous: %s', async (path) => {
    const app = await start({
      prepare: (nest) =>
        void nest.use(
          (request: { user?: unknown; headers: Record<string, string> }, _: unknown, next: () => void) => {
            request.user = false;
            authenticate(request as never);
            next();
          },
        ),
    });
    const first = await app.get(`/${path}`);
    expect([first.status, first.headers.get('ratelimit')]).toEqual([200, '"anon";r=1;t=60']);
    expect(await statuses(app, 2, `/${path}`)).toEqual([200, 429]);
    const signedIn = await app.get(`/${path}`, { as: 'alice' });
    expect([signedIn.status, signedIn.headers.get('ratelimit')]).toEqual([200, '"user";r=2;t=60']);
    expect(app.logged).toEqual(app.warned);
  });

  test("are anonymous to the module's user function as well", async () => {
    const app = await start({ options: { user: (request) => request.user } });
    const answer = await app.get('/guarded');
    expect(answer.headers.get('ratelimit')).toBe('"anon";r=1;t=60');
  });
});

describe.each(platforms)('callers with unusual identities on %s', (platform) => {
  const start = starter(platform);

  test('a key function may destructure header from the context', async () => {
    const app = await start({
      routes: { '/': RateLimit({ rate: '1/min', key: ({ header }) => header('X-Tenant') }) },
    });
    for (const tenant of ['a', 'b']) {
      expect(await statuses(app, 2, '/', { headers: { 'x-tenant': tenant } })).toEqual([200, 429]);
    }
    expect(app.logged).toEqual([]);
  });

  test('garbage from a trusted proxy counts as the proxy, and nothing crashes', async () => {
    const app = await start({ routes: { '/': RateLimit('3/min') } });
    for (const from of ['garbage', '999.1.1.1', '1.2.3.4:80x'])
      expect((await app.get('/', { from })).status).toBe(200);
    expect((await app.get('/', { from: 'more' })).status).toBe(429);
  });
});

describe('callers with unusual identities', () => {
  const start = starter('express');
  const Odd = routes({ '/': RateLimit({ rate: '2/min', key: 'user' }) });

  test('for a user without an id the address is charged, and the log says how to fix it', async () => {
    const app = await start({ controllers: [Odd] });
    expect(await statuses(app, 3, '/', { as: 'nameless' })).toEqual([200, 200, 429]);
    expect(app.logged).toEqual([expect.stringContaining('user: (request) =>')]);
  });

  test('the option user finds the id', async () => {
    const app = await start({
      controllers: [Odd],
      options: { user: (request) => request.headers?.['x-user'] as string | undefined },
    });
    expect(await statuses(app, 3, '/', { headers: { 'x-user': 'u1' } })).toEqual([200, 200, 429]);
    expect((await app.get('/', { headers: { 'x-user': 'u2' } })).status).toBe(200);
    expect(await statuses(app, 5, '/', { as: 'alice' })).toEqual(times(5, 200));
  });

  const failure = 'failed, so the client counts as anonymous. .*no session';
  const promise = 'returned a promise, so the client counts as anonymous. Make it synchronous.';
  test.each<[string, () => unknown, readonly string[]]>([
    ['throws', throwing(new Error('no session')), [failure]],
    ['returns a promise', async () => 'u1', [promise]],
    ['rejects', () => Promise.reject(new Error('no session')), [promise, failure]],
  ])('a user function that %s leaves the caller anonymous, and is logged', async (_how, user, said) => {
    const app = await start({
      routes: {
        '/user': RateLimit({ rate: '1/min', key: 'user' }),
        '/either': RateLimit({ rate: '2/min', key: 'user|ip' }),
      },
      options: { user },
    });
    expect(await statuses(app, 3, '/user', { as: 'alice' })).toEqual(times(3, 200));
    expect(await statuses(app, 3, '/either', { as: 'alice', from: '203.0.113.7' })).toEqual([200, 200, 429]);
    expect((await app.get('/either', { as: 'alice', from: '203.0.113.8' })).status).toBe(200);
    expect(app.logged).toEqual(said.map((text) => expect.stringMatching(`^user: The user function ${text}`)));
  });
});
