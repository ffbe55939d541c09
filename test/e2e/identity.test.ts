import { request as httpRequest } from 'node:http';
import { Controller, Get, Param } from '@nestjs/common';
import { RateLimit, RateLimiter } from 'nestjs-ratelimit';
import { platforms, serve, statuses, type TestApp, times } from '../support/app.js';

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

  test('A9 a user limit is shared across addresses, and another user is fresh', async () => {
    for (const from of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) {
      expect((await app.get('/user', { as: 'alice', from })).status).toBe(200);
    }
    expect((await app.get('/user', { as: 'alice', from: '203.0.113.4' })).status).toBe(429);
    expect((await app.get('/user', { as: 'bob', from: '203.0.113.1' })).status).toBe(200);
  });

  test('a user limit is skipped for anonymous callers', async () => {
    expect(await statuses(app, 10, '/user')).toEqual(times(10, 200));
    expect((await app.get('/user')).headers.get('x-ratelimit-limit')).toBeNull();
  });

  test('A10 user|ip: an exhausted anonymous address does not stop a signed-in user of it', async () => {
    expect(await statuses(app, 4, '/user-or-address')).toEqual([...times(3, 200), 429]);
    expect((await app.get('/user-or-address', { as: 'alice' })).status).toBe(200);
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

  test('keys together: each address and header of it has a bucket of its own', async () => {
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

  test('A12 an IPv6 /64 is one caller, the next one another, and IPv4-mapped is IPv4', async () => {
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

  test('A16 a key function that gives no identity is logged, and the request is charged to the address', async () => {
    for (const path of ['/empty', '/undefined', '/fails', '/rejects']) {
      expect(await statuses(app, 3, path, { from: '203.0.113.7' })).toEqual([200, 200, 429]);
      expect((await app.get(path, { from: '203.0.113.8' })).status).toBe(200);
    }
    expect(app.logged.filter((line) => line.includes('Identities.empty'))).toHaveLength(1);
    expect(app.logged.filter((line) => line.includes('no tenant'))).toHaveLength(2);
  });

  test('A16 a key function that gives null skips the limit', async () => {
    expect(await statuses(app, 10, '/skips')).toEqual(times(10, 200));
    expect(app.store.size).toBe(0);
  });

  test('a key function may answer later', async () => {
    expect(await statuses(app, 3, '/later')).toEqual([200, 200, 429]);
  });

  test('values full of separators stay identities of their own', async () => {
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

  test('A17 anon 10/min and user 100/min: the eleventh anonymous request is denied, a user gets 100 of 100', async () => {
    expect(await statuses(app, 11, '/anon')).toEqual([...times(10, 200), 429]);
    expect(await statuses(app, 101, '/anon', { as: 'alice' })).toEqual([...times(100, 200), 429]);
  });

  test('identities are those that the service takes', async () => {
    await statuses(app, 5, '/address', { from: '2001:db8::1' });
    await app.app.get(RateLimiter).reset({ identity: 'ip:2001:db8::/64' });
    expect((await app.get('/address', { from: '2001:db8::1' })).status).toBe(200);
    await statuses(app, 3, '/user', { as: 'alice' });
    await app.app.get(RateLimiter).reset({ identity: 'user:alice' });
    expect((await app.get('/user', { as: 'alice' })).status).toBe(200);
  });
});

describe.each(platforms)('callers whose identity is odd on %s', (platform) => {
  @Controller()
  class Odd {
    @Get() @RateLimit({ rate: '2/min', key: 'user' }) get() {
      return 'ok';
    }
  }

  test('a user without an id is charged to the address, and the log says what to do', async () => {
    const app = await serve(platform, { controllers: [Odd] });
    expect(await statuses(app, 3, '/', { as: 'nameless' })).toEqual([200, 200, 429]);
    expect(app.logged).toEqual([expect.stringContaining('user: (request) =>')]);
    await app.close();
  });

  test('the module may say where the id is', async () => {
    const app = await serve(platform, {
      controllers: [Odd],
      options: { user: (request) => request.headers?.['x-user'] as string | undefined },
    });
    expect(await statuses(app, 3, '/', { headers: { 'x-user': 'u1' } })).toEqual([200, 200, 429]);
    expect((await app.get('/', { headers: { 'x-user': 'u2' } })).status).toBe(200);
    expect(await statuses(app, 5, '/', { as: 'alice' })).toEqual(times(5, 200));
    await app.close();
  });

  test('a user function that fails leaves the caller anonymous, and is logged', async () => {
    const app = await serve(platform, {
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

  test('a /56 is one caller where the module says so', async () => {
    @Controller()
    class Address {
      @Get() @RateLimit('1/min') get() {
        return 'ok';
      }
    }
    const app = await serve(platform, { controllers: [Address], options: { ipv6Prefix: 56 } });
    expect((await app.get('/', { from: '2001:db8:0:1::1' })).status).toBe(200);
    expect((await app.get('/', { from: '2001:db8:0:ff::1' })).status).toBe(429);
    expect((await app.get('/', { from: '2001:db8:0:100::1' })).status).toBe(200);
    await app.close();
  });

  test('garbage from a trusted proxy counts as the proxy, and crashes nothing', async () => {
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
