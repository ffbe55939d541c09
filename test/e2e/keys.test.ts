import { type INestApplication } from '@nestjs/common';
import { Args, Query, Resolver } from '@nestjs/graphql';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { MemoryStore, RateLimit, RateLimiter, type Store } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { type Call, platforms, routes, serve, starter, statuses, type TestApp } from '../support/app.js';
import { OwnTime } from '../support/own-time.mjs';
import { type RedisServer, startRedis } from '../support/redis.js';
import { storeWith } from '../support/stores.js';
import { gateway, graphqlModule, openSocket, overWs } from '../support/transports.js';

const Keyed = routes({
  '/query': RateLimit({ rate: '2/min', key: 'query:api_key' }),
  '/header': RateLimit({ rate: '2/min', key: 'header:X-Api-Key|ip' }),
  '/cookie': RateLimit({ rate: '2/min', key: 'cookie:sid' }),
  '/cookie-proto': RateLimit({ rate: '2/min', key: 'cookie:__proto__' }),
  '/param/:id': RateLimit({ rate: '2/min', key: 'param:id' }),
  'POST /body': RateLimit({ rate: '2/min', key: 'body:email' }),
  'POST /proto': RateLimit({ rate: '2/min', key: 'body:__proto__' }),
  'POST /of-constructor': RateLimit({ rate: '2/min', key: 'body:constructor' }),
  'POST /together': RateLimit({ rate: '2/min', key: 'ip+body:email' }),
});

const from = '203.0.113.7';
const ofAddress = `ip:${from}`;
const post = (body: unknown, more: Call = {}): Call => ({ method: 'POST', body, from, ...more });

describe.each(platforms)('keys of request values on %s', (platform) => {
  let app: TestApp;
  let charged: string[];
  beforeAll(async () => {
    const clock = new TestClock(Date.now());
    const store = new MemoryStore({ clock });
    const noting = storeWith(store, {
      consume: (charges) => {
        charged.push(...charges.map(({ identity }) => identity));
        return store.consume(charges);
      },
    });
    app = await serve(platform, {
      controllers: [Keyed],
      store,
      clock,
      options: { store: noting },
      prepare: (nest: INestApplication) => {
        if (platform === 'express') (nest as NestExpressApplication).useBodyParser('json', { limit: '2mb' });
        nest.use(
          (request: { headers: Record<string, string>; cookies?: object }, _: unknown, next: () => void) => {
            const parsed = request.headers['x-parsed'];
            if (parsed !== undefined) request.cookies = JSON.parse(parsed);
            next();
          },
        );
      },
    });
  });
  beforeEach(() => {
    charged = [];
  });
  afterEach(() => app.store.clear());
  afterAll(() => app.close());

  const identityOf = async (path: string, call: Call): Promise<string | undefined> => {
    charged = [];
    const { status } = await app.get(path, { from, ...call });
    expect([200, 201]).toContain(status);
    return charged[0];
  };

  test.each<[string, string, Call]>([
    ['header:x-api-key', '/header', { headers: { 'x-api-key': 'sk-live-1' } }],
    ['query:api_key', '/query?api_key=sk-live-1', {}],
    ['cookie:sid', '/cookie', { headers: { cookie: 'a=b; sid=sk-live-1; c=d' } }],
  ])('the store holds only a hash of the value of %s', async (kind, path, call) => {
    const identity = await identityOf(path, call);
    expect(identity).toMatch(new RegExp(`^${kind}:[A-Za-z0-9_-]{22}$`));
    expect(identity).not.toContain('sk-live-1');
    expect(await statuses(app, 2, path, { from: '203.0.113.8', ...call })).toEqual([200, 429]);
  });

  test('other values have their own buckets, and a repeated name counts as no value', async () => {
    expect(await statuses(app, 3, '/query?api_key=a', { from })).toEqual([200, 200, 429]);
    expect((await app.get('/query?api_key=b', { from })).status).toBe(200);
    for (const path of ['/query', '/query?api_key=', '/query?api_key=a&api_key=b', '/query?API_KEY=a']) {
      app.store.clear();
      expect(await identityOf(path, {})).toBe(ofAddress);
    }
  });

  test('a cookie is read from the header if no middleware has parsed it', async () => {
    const cookie = (header: string) => identityOf('/cookie', { headers: { cookie: header } });
    const one = await cookie('sid=one');
    expect(await cookie('a=1;sid=one')).toBe(one);
    app.store.clear();
    expect(await cookie('sid=%6Fne')).toBe(one);
    expect(await cookie('sid=%zz')).toMatch(/^cookie:sid:/);
    for (const header of ['', ';;;=', 'sid', 'sid=', 'SID=one', 'asid=one', '__proto__=one']) {
      app.store.clear();
      expect(await cookie(header)).toBe(ofAddress);
    }
    const proto = { headers: { cookie: 'a=1' } };
    expect(await identityOf('/cookie-proto', proto)).toBe(ofAddress);
  });

  test('a cookie is read from request.cookies if middleware has parsed it', async () => {
    const parsed = (cookies: object, header = 'sid=one') =>
      identityOf('/cookie', { headers: { cookie: header, 'x-parsed': JSON.stringify(cookies) } });
    const one = await identityOf('/cookie', { headers: { cookie: 'sid=one' } });
    expect(await parsed({ sid: 'one' }, 'sid=two')).toBe(one);
    expect(await parsed({ sid: 'other' })).not.toBe(one);
    for (const cookies of [{}, { sid: { id: 1 } }, { sid: ['one'] }, { sid: null }]) {
      app.store.clear();
      expect(await parsed(cookies)).toBe(ofAddress);
    }
  });

  test('a path parameter is stored as it is', async () => {
    expect(await identityOf('/param/42', {})).toBe('param:id:42');
    expect(await identityOf('/param/a%2Bb%20c', {})).toBe('param:id:a%2Bb%20c');
    expect(await identityOf('/param/Alice', {})).toBe('param:id:Alice');
    expect(await identityOf(`/param/${'x'.repeat(65)}`, {})).toMatch(/^param:id:~[A-Za-z0-9_-]{22}$/);
    expect(await identityOf('/param/__proto__', {})).toBe('param:id:__proto__');
  });

  test('a body value is stored as it is, a long one as a hash', async () => {
    expect(await identityOf('/body', post({ email: 'alice@example.org' }))).toBe(
      'body:email:alice@example.org',
    );
    expect(await identityOf('/body', post({ email: 'bob+tag@example.org' }))).toBe(
      'body:email:bob%2Btag@example.org',
    );
    expect(await identityOf('/body', post({ email: `${'x'.repeat(60)}@example.org` }))).toMatch(
      /^body:email:~[A-Za-z0-9_-]{22}$/,
    );
    expect(await identityOf('/body', post({ email: 42 }))).toBe('body:email:42');
    expect(await identityOf('/body', post({ email: false }))).toBe('body:email:false');
  });

  test.each<[string, unknown]>([
    ['absent', {}],
    ['empty', { email: '' }],
    ['of spaces', { email: ' \t\u00a0\u3000' }],
    ['null', { email: null }],
    ['a list', { email: ['alice@example.org'] }],
    ['an object', { email: { $ne: null } }],
    ['an object with its own toString', { email: { toString: 'alice@example.org' } }],
    ['nested', { user: { email: 'alice@example.org' } }],
    ['in another case', { Email: 'alice@example.org' }],
    ['in a list', [{ email: 'alice@example.org' }]],
  ])(
    'for a value that is %s the address is charged, and the third attempt is denied',
    async (_what, body) => {
      expect(await statuses(app, 3, '/body', post(body))).toEqual([201, 201, 429]);
      expect(new Set(charged)).toEqual(new Set([ofAddress]));
    },
  );

  test('without a body, or with one that is not JSON, the address is charged', async () => {
    expect(await identityOf('/body', { method: 'POST' })).toBe(ofAddress);
    const { status } = await app.get('/body', { method: 'POST', from });
    expect(status).toBe(201);
    expect((await app.get('/body', { method: 'POST', from })).status).toBe(429);
  });

  test('inherited properties of objects are not values', async () => {
    expect(await identityOf('/of-constructor', post({ email: 'a' }))).toBe(ofAddress);
    expect(await identityOf('/of-constructor', post({ constructor: 'a' }))).toBe('body:constructor:a');
    expect(await identityOf('/proto', post({ email: 'a' }))).toBe(ofAddress);
    expect(({} as { email?: unknown }).email).toBeUndefined();
  });

  test('a body with __proto__ affects no other request', async () => {
    const call = { method: 'POST', from, headers: { 'content-type': 'application/json' } };
    const response = await fetch(`${app.url}/body`, {
      method: 'POST',
      headers: { ...call.headers, 'x-forwarded-for': from },
      body: '{"__proto__": {"email": "alice@example.org"}}',
    });
    // Fastify refuses such a body before any guard.
    expect(response.status).toBe(platform === 'express' ? 201 : 400);
    expect(charged).toEqual(platform === 'express' ? [ofAddress] : []);
  });

  test('values of a megabyte are hashed quickly to short identities', async () => {
    const size = 1_000_000;
    for (const email of [
      'x'.repeat(size),
      '\u0315\u0300'.repeat(size / 4),
      ' '.repeat(size - 1).concat('y'),
    ]) {
      const time = new OwnTime();
      const identity = await identityOf('/body', post({ email }));
      expect(identity?.length).toBeLessThan(50);
      expect(time.stop()).toBeLessThan(5_000);
    }
    expect(app.store.size).toBe(3);
  });

  test('all spellings of an e-mail address share a bucket', async () => {
    const ways = [
      'alice@example.org',
      'Alice@Example.ORG',
      ' alice@example.org\n',
      '\u3000alice@example.org\u00a0',
      'ａｌｉｃｅ@example.org',
      'alice＠example.org',
      `alice@example.org${' '.repeat(5_000)}`,
    ];
    const seen = [];
    for (const email of ways) seen.push((await app.get('/body', post({ email }))).status);
    expect(seen).toEqual([201, 201, ...Array.from({ length: ways.length - 2 }, () => 429)]);
    expect(new Set(charged)).toEqual(new Set(['body:email:alice@example.org']));
    expect((await app.get('/body', post({ email: 'alice2@example.org' }))).status).toBe(201);
  });

  test('ip+body:email counts each account from each address; without an account only the address', async () => {
    const alice = post({ email: 'alice@example.org' });
    expect(await statuses(app, 3, '/together', alice)).toEqual([201, 201, 429]);
    expect((await app.get('/together', post({ email: 'bob@example.org' }))).status).toBe(201);
    expect((await app.get('/together', { ...alice, from: '203.0.113.8' })).status).toBe(201);
    expect(charged[0]).toBe(`${ofAddress}+body:email:alice@example.org`);
    expect(await identityOf('/together', post({ email: ['alice@example.org'] }))).toBe(ofAddress);
  });

  test('RateLimiter finds the identity that a route charged, with any spelling of the e-mail', async () => {
    const limiter = app.app.get(RateLimiter);
    const alice = post({ email: 'alice@example.org' });
    expect(await statuses(app, 3, '/body', alice)).toEqual([201, 201, 429]);
    await limiter.reset({ identity: 'body:email:bob@example.org' });
    expect((await app.get('/body', alice)).status).toBe(429);
    await limiter.reset({ identity: 'body:email: Alice@Example.org' });
    expect(await statuses(app, 3, '/together', alice)).toEqual([201, 201, 429]);
    await limiter.reset({ identity: [ofAddress, 'body:email:Alice@Example.org'] });
    expect((await app.get('/together', alice)).status).toBe(201);
    expect((await app.get('/body', alice)).status).toBe(201);
    await limiter.block({ identity: 'body:email:ALICE@example.org', for: '1min' });
    expect((await app.get('/body', alice)).status).toBe(429);
    await limiter.unblock({ identity: 'body:email:alice@EXAMPLE.org' });
    expect((await app.get('/body', alice)).status).toBe(201);
  });

  test('RateLimiter finds a hashed key by the identity that was charged', async () => {
    const path = '/query?api_key=sk-live-1';
    const identity = (await identityOf(path, {})) as string;
    expect(await statuses(app, 2, path)).toEqual([200, 429]);
    await app.app.get(RateLimiter).reset({ identity });
    expect((await app.get(path)).status).toBe(200);
  });
});

describe('keys of request values on Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  const start = starter('express');

  test('A11 no secret is in the store, and an e-mail has one bucket for all processes', async () => {
    const clock = new TestClock(Date.now());
    const storeOf = (): Store => new RedisStore({ url: redis.url, prefix: 'keys', clock });
    // So patient that the store decides, however busy the machine is.
    const options = () => ({
      controllers: [Keyed],
      options: { store: storeOf(), secret: 'a secret of tests', timeoutMs: 60_000 },
    });
    const [one, other] = [await start(options()), await start(options())];
    const query = '/query?api_key=sk-live-1';
    expect([await statuses(one, 2, query), await statuses(other, 1, query)]).toEqual([[200, 200], [429]]);
    const cookie = { headers: { cookie: 'sid=sk-live-2' } };
    expect((await one.get('/cookie', cookie)).status).toBe(200);
    const call = (email: string): Call => ({ method: 'POST', body: { email } });
    expect([
      await statuses(one, 1, '/body', call('Alice@Example.org')),
      await statuses(other, 2, '/body', call(' alice@example.org')),
    ]).toEqual([[201], [201, 429]]);
    const long = 'x'.repeat(100_000);
    expect([
      await statuses(one, 2, '/body', call(long.slice(0, 90_000))),
      await statuses(other, 1, '/body', call(long.slice(0, 90_000))),
    ]).toEqual([[201, 201], [429]]);
    const keys = await redis.cli('KEYS', '*');
    expect(keys).toContain('body:email:alice@example.org');
    expect(keys).toContain('cookie:sid:');
    expect(keys).not.toContain('sk-live');
    expect(keys.length).toBeLessThan(2_000);
  });
});

@Resolver()
class Accounts {
  @Query(() => String) @RateLimit({ rate: '2/min', key: 'body:email' }) account(
    @Args('email') email: string,
  ): string {
    return email;
  }
}

describe.each(platforms)('keys of GraphQL arguments on %s', (platform) => {
  const start = starter(platform);

  test('body: reads the arguments of a field', async () => {
    const app = await start({
      imports: [graphqlModule()],
      providers: [Accounts],
    });
    const ask = async (email: string) => {
      const query = `{ account(email: "${email}") }`;
      const { json } = await app.get('/graphql', { method: 'POST', body: { query, email: 'other' } });
      return json.errors?.[0].extensions.code ?? json.data.account;
    };
    expect([await ask('alice@example.org'), await ask('ALICE@example.org')]).toEqual([
      'alice@example.org',
      'ALICE@example.org',
    ]);
    expect(await ask('alice@example.org')).toBe('RATE_LIMITED');
    expect(await ask('bob@example.org')).toBe('bob@example.org');
  });
});

describe('keys of WebSocket messages', () => {
  const start = starter('express');

  test('body: reads the data of a message of any type', async () => {
    const app = await start({
      providers: [gateway(RateLimit({ rate: '1/min', key: 'body:email' }))],
      prepare: overWs,
    });
    const socket = await openSocket(app);
    const say = async (data: unknown) => (await socket.say(data)).event;
    expect(await say({ email: 'alice@example.org' })).toBe('said');
    expect(await say({ email: 'Alice@example.org' })).toBe('exception');
    expect(await say({ email: 'bob@example.org' })).toBe('said');
    expect(await say('alice@example.org')).toBe('said');
    // Of the address now, which has said one thing.
    for (const data of [null, ['alice@example.org'], { email: {} }, 42])
      expect(await say(data)).toBe('exception');
    socket.close();
  });
});
