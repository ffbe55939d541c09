import { request as httpRequest } from 'node:http';
import { type CanActivate, Controller, type ExecutionContext, Get, Param, UseGuards } from '@nestjs/common';
import { RateLimit, RateLimiter, ThrottleScope } from 'nestjs-ratelimit';
import {
  authenticate,
  type Call,
  platforms,
  serve,
  starter,
  statuses,
  type TestApp,
  times,
} from '../support/app.js';

@Controller()
class Identities {
  @Get('address') @RateLimit({ rate: '5/min', key: 'ip', name: 'address' }) address() {
    return 'ok';
  }
  @Get('user') @RateLimit({ rate: '3/min', key: 'user' }) user() {
    return 'ok';
  }
  @Get('user-or-address') @RateLimit({ rate: '3/min', key: 'user|ip' }) userOrAddress() {
    return 'ok';
  }
  @Get('api-key') @RateLimit({ rate: '4/min', key: 'header:X-Api-Key' }) apiKey() {
    return 'ok';
  }
  @Get('together') @RateLimit({ rate: '2/min', key: 'ip+header:x-tenant' }) together() {
    return 'ok';
  }
  @Get('global') @RateLimit({ rate: '3/min', key: 'global' }) global() {
    return 'ok';
  }
  @Get('anon')
  @RateLimit({ rate: '10/min', key: 'anon', name: 'anon' })
  @RateLimit({ rate: '100/min', key: 'user', name: 'user' })
  anon() {
    return 'ok';
  }
  @Get('tenant/:tenant')
  @RateLimit({ rate: '2/min', key: ({ request }) => (request.params as { tenant: string }).tenant })
  tenant(@Param('tenant') tenant: string) {
    return tenant;
  }
  @Get('empty') @RateLimit({ rate: '2/min', key: () => '' }) empty() {
    return 'ok';
  }
  @Get('undefined') @RateLimit({ rate: '2/min', key: () => undefined as unknown as null }) undefinedKey() {
    return 'ok';
  }
  @Get('later') @RateLimit({ rate: '2/min', key: async () => Promise.resolve('everyone') }) later() {
    return 'ok';
  }
  @Get('fails')
  @RateLimit({
    rate: '2/min',
    key: () => {
      throw new Error('no tenant');
    },
  })
  fails() {
    return 'ok';
  }
  @Get('rejects') @RateLimit({ rate: '2/min', key: () => Promise.reject(new Error('no tenant')) }) rejects() {
    return 'ok';
  }
  @Get('skips') @RateLimit({ rate: '2/min', key: () => null }) skips() {
    return 'ok';
  }
}

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

  test('A11 a header key: the fifth is denied, another key is not, and none is charged to the address', async () => {
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
    for (const path of ['/empty', '/undefined', '/fails', '/rejects']) {
      expect(await statuses(app, 3, path, { from: '203.0.113.7' })).toEqual([200, 200, 429]);
      expect((await app.get(path, { from: '203.0.113.8' })).status).toBe(200);
    }
    expect(app.logged.filter((line) => line.includes('Identities.empty'))).toHaveLength(1);
    expect(app.logged.filter((line) => line.includes('no tenant'))).toHaveLength(2);
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

  test('RateLimiter takes the identities that routes charge', async () => {
    await statuses(app, 5, '/address', { from: '2001:db8::1' });
    await app.app.get(RateLimiter).reset({ identity: 'ip:2001:db8::/64' });
    expect((await app.get('/address', { from: '2001:db8::1' })).status).toBe(200);
    await statuses(app, 3, '/user', { as: 'alice' });
    await app.app.get(RateLimiter).reset({ identity: 'user:alice' });
    expect((await app.get('/user', { as: 'alice' })).status).toBe(200);
  });
});

describe('identities that RateLimiter is given', () => {
  @Controller()
  class ByHand {
    @Get('user') @ThrottleScope('user') user() {
      return 'ok';
    }
    @Get('address') @ThrottleScope('address') address() {
      return 'ok';
    }
    @Get('key') @ThrottleScope('key') key() {
      return 'ok';
    }
    @Get('together') @ThrottleScope('together') together() {
      return 'ok';
    }
  }
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
  @Controller()
  class Lenient {
    @Get('guarded') @UseGuards(LenientPassport) guarded() {
      return 'ok';
    }
    @Get('ahead') ahead() {
      return 'ok';
    }
  }
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
  test('a key function may destructure header from the context', async () => {
    @Controller()
    class Tenants {
      @Get() @RateLimit({ rate: '1/min', key: ({ header }) => header('X-Tenant') }) get() {
        return 'ok';
      }
    }
    const app = await serve(platform, { controllers: [Tenants] });
    for (const tenant of ['a', 'b']) {
      expect(await statuses(app, 2, '/', { headers: { 'x-tenant': tenant } })).toEqual([200, 429]);
    }
    expect(app.logged).toEqual([]);
    await app.close();
  });

  test('garbage from a trusted proxy counts as the proxy, and nothing crashes', async () => {
    @Controller()
    class Address {
      @Get() @RateLimit('3/min') get() {
        return 'ok';
      }
    }
    const app = await serve(platform, { controllers: [Address] });
    for (const from of ['garbage', '999.1.1.1', '1.2.3.4:80x'])
      expect((await app.get('/', { from })).status).toBe(200);
    expect((await app.get('/', { from: 'more' })).status).toBe(429);
    await app.close();
  });
});

describe('callers with unusual identities', () => {
  @Controller()
  class Odd {
    @Get() @RateLimit({ rate: '2/min', key: 'user' }) get() {
      return 'ok';
    }
  }

  test('for a user without an id the address is charged, and the log says how to fix it', async () => {
    const app = await serve('express', { controllers: [Odd] });
    expect(await statuses(app, 3, '/', { as: 'nameless' })).toEqual([200, 200, 429]);
    expect(app.logged).toEqual([expect.stringContaining('user: (request) =>')]);
    await app.close();
  });

  test('the option user finds the id', async () => {
    const app = await serve('express', {
      controllers: [Odd],
      options: { user: (request) => request.headers?.['x-user'] as string | undefined },
    });
    expect(await statuses(app, 3, '/', { headers: { 'x-user': 'u1' } })).toEqual([200, 200, 429]);
    expect((await app.get('/', { headers: { 'x-user': 'u2' } })).status).toBe(200);
    expect(await statuses(app, 5, '/', { as: 'alice' })).toEqual(times(5, 200));
    await app.close();
  });

  test('a user function that fails leaves the caller anonymous, and is logged', async () => {
    const app = await serve('express', {
      controllers: [Odd],
      options: {
        user: () => {
          throw new Error('no session');
        },
      },
    });
    expect(await statuses(app, 3, '/')).toEqual(times(3, 200));
    expect(app.logged).toEqual([expect.stringContaining('no session')]);
    await app.close();
  });

  test.each<[string, () => unknown, readonly string[]]>([
    [
      'returns a promise',
      async () => 'u1',
      ['returned a promise, so the client counts as anonymous. Make it synchronous.'],
    ],
    [
      'rejects',
      () => Promise.reject(new Error('no session')),
      [
        'returned a promise, so the client counts as anonymous. Make it synchronous.',
        'failed, so the client counts as anonymous. .*no session',
      ],
    ],
  ])('a user function that %s leaves the caller anonymous, and is logged', async (_how, user, said) => {
    @Controller()
    class Either {
      @Get('user') @RateLimit({ rate: '1/min', key: 'user' }) user() {
        return 'ok';
      }
      @Get('either') @RateLimit({ rate: '2/min', key: 'user|ip' }) either() {
        return 'ok';
      }
    }
    const app = await serve('express', { controllers: [Either], options: { user } });
    expect(await statuses(app, 3, '/user', { as: 'alice' })).toEqual(times(3, 200));
    expect(await statuses(app, 3, '/either', { as: 'alice', from: '203.0.113.7' })).toEqual([200, 200, 429]);
    expect((await app.get('/either', { as: 'alice', from: '203.0.113.8' })).status).toBe(200);
    expect(app.logged).toEqual(said.map((text) => expect.stringMatching(`^user: The user function ${text}`)));
    await app.close();
  });

  test('a user that cannot be converted to text is anonymous', async () => {
    @Controller()
    class Either {
      @Get() @RateLimit({ rate: '1/min', key: 'user|ip' }) get() {
        return 'ok';
      }
    }
    const app = await serve('express', {
      controllers: [Either],
      options: { user: () => Object.create(null) },
    });
    expect(await statuses(app, 2, '/')).toEqual([200, 429]);
    expect(app.logged).toEqual([]);
    await app.close();
  });

  test('with ipv6Prefix 56, a /56 is one caller', async () => {
    @Controller()
    class Address {
      @Get() @RateLimit('1/min') get() {
        return 'ok';
      }
    }
    const app = await serve('express', { controllers: [Address], options: { ipv6Prefix: 56 } });
    expect((await app.get('/', { from: '2001:db8:0:1::1' })).status).toBe(200);
    expect((await app.get('/', { from: '2001:db8:0:ff::1' })).status).toBe(429);
    expect((await app.get('/', { from: '2001:db8:0:100::1' })).status).toBe(200);
    await app.close();
  });
});
