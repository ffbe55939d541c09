import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import {
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Inject,
  Injectable,
  Module,
  NotFoundException,
  Post,
  Scope,
  UnauthorizedException,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import {
  MemoryStore,
  RATE_LIMIT_STORE,
  RateLimit,
  RateLimitModule,
  systemClock,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { type RateLimitAdminAsyncOptions, RateLimitAdminModule } from 'nestjs-ratelimit/admin';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { map, of } from 'rxjs';
import {
  type AppOptions,
  authenticate,
  type Call,
  inOneHour,
  moduleOf,
  platforms,
  routes,
  serve,
  starter,
  statuses,
  type TestApp,
  times,
  withResolvers,
} from '../support/app.js';
import { HeldStore } from '../support/held-store.js';
import { OwnTime } from '../support/own-time.mjs';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

@Injectable()
class StaffGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest();
    if (request.headers.authorization === undefined) throw new UnauthorizedException('Who are you?');
    authenticate(request);
    return request.user?.isStaff === true;
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerRequest implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

const Shop = routes({
  '/shop/list': RateLimit({ name: 'list', rate: '2/min', block: ['15min', '1h'] }),
  '/shop/mine': RateLimit({ name: 'mine', rate: { default: '3/min', pro: '9/min' }, key: 'user' }),
  'POST /shop/login': ThrottleScope('login'),
});

const Plain = routes({ '/plain': RateLimit({ name: 'list', rate: '2/min' }) });

const limits = RateLimitModule.forRoot;
const root = (store: MemoryStore | RedisStore) =>
  limits({
    store,
    secret: 'of the fleet',
    // So patient that the store decides, however busy the machine is.
    timeoutMs: 60_000,
    scopes: { login: { rate: '5/15min', key: 'ip+body:email', shadow: true } },
    limits: [{ name: 'all', rate: { limit: 100, window: '1h', burst: 150 }, algorithm: 'token-bucket' }],
    tier: () => 'pro',
  });

const admin = RateLimitAdminModule.forRoot({ guards: [StaffGuard] });
const PATH = '/admin/rate-limits';

const ask = (app: TestApp, path: string, call: Call = {}) => app.get(PATH + path, { as: 'staff', ...call });
const post = (app: TestApp, path: string, body: unknown = {}, call: Call = {}) =>
  ask(app, path, { method: 'POST', body, headers: { 'x-ratelimit-admin': '1' }, ...call });

async function openLive(app: TestApp): Promise<IncomingMessage> {
  const request = get(`${app.url}${PATH}/live`, { agent: false, headers: { authorization: 'Bearer staff' } });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect([response.statusCode, response.headers['content-type']]).toEqual([200, 'text/event-stream']);
  return response;
}

const COUNTS = ['total', 'allowed', 'denied', 'shadow_denied', 'degraded'] as const;
type Second = { readonly at: string } & Readonly<Record<(typeof COUNTS)[number], number>>;

const sumOf = (messages: readonly Second[], name: (typeof COUNTS)[number]): number =>
  messages.reduce((sum, message) => sum + message[name], 0);

/** Reads server-sent events until there are enough, or no more come. */
async function readLive(
  response: IncomingMessage,
  isEnough: (messages: readonly Second[]) => boolean,
): Promise<readonly Second[]> {
  let text = '';
  const messages = (): Second[] =>
    [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data as string));
  for await (const chunk of response) {
    text += String(chunk);
    if (isEnough(messages())) break;
  }
  return messages();
}

/** A response, and whether a time in it is so many milliseconds after the request. */
async function timed<T>(make: () => Promise<T>) {
  const fromMs = systemClock.now();
  const answer = await make();
  const toMs = systemClock.now();
  const isAfterIt = (ms: number, time: string): boolean => {
    const madeMs = Date.parse(time) - ms;
    return madeMs >= fromMs && madeMs <= toMs;
  };
  return { answer, isAfterIt };
}

/** The tests of operators' requests, on one kind of store. */
const operates = (
  open: (options?: AppOptions) => Promise<TestApp>,
  options: () => AppOptions = () => ({}),
) => {
  test('GET /stats returns the counts by hour', async () => {
    const app = await open(options());
    for (let i = 0; i < 3; i++) await app.get('/shop/list', { from: '203.0.113.7' });
    for (let i = 0; i < 10; i++) await app.get('/shop/mine', { as: 'bob' });
    const { status, json, headers } = await until('the statistics are complete', async () => {
      const answer = await ask(app, '/stats?hours=2&top=1');
      // Only a shared store can be late, on a busy machine.
      const mayBeLate = !(app.app.get(RATE_LIMIT_STORE) instanceof MemoryStore);
      return (answer.json.is_complete || !mayBeLate) && answer;
    });
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(json).toEqual({
      current_hour: { total_requests: 13, throttled_requests: 2, unique_ips: 2 },
      top_throttled_ips: [{ ip: expect.any(String), throttled: 1 }],
      top_throttled_endpoints: [
        { endpoint: expect.stringMatching(/^GET \/shop\/(list|mine)$/), throttled: 1 },
      ],
      by_endpoint: [
        expect.objectContaining({ endpoint: 'GET /shop/mine', total_requests: 10, throttled_requests: 1 }),
        expect.objectContaining({ endpoint: 'GET /shop/list', total_requests: 3, throttled_requests: 1 }),
      ],
      by_limit: expect.arrayContaining([
        expect.objectContaining({ limit: 'all', scope: '*', total_requests: 13, throttled_requests: 0 }),
      ]),
      by_user: [{ user: 'bob', total_requests: 10, throttled_requests: 1 }],
      hours: [
        expect.objectContaining({ total_requests: 0 }),
        expect.objectContaining({ total_requests: 13, allowed: 11, shadow_throttled: 0, degraded: 0 }),
      ],
      is_complete: true,
    });
  });

  test('GET /clients/:identity shows each bucket, blocks it, unblocks it and resets it', async () => {
    const app = await open(options());
    const list = () => app.get('/shop/list', { from: '203.0.113.7' }).then(({ status }) => status);
    const client = async () => (await ask(app, '/clients/ip%3A203.0.113.7')).json;
    expect(await list()).toBe(200);
    const { answer: first, isAfterIt } = await timed(client);
    expect(first).toMatchObject({ identity: 'ip:203.0.113.7', blocked_until: null });
    // Only limits whose keys can charge an address.
    const names: string[] = first.buckets.map(({ name }: { name: string }) => name);
    expect(names.sort()).toEqual(['all', 'list']);
    const bucket = first.buckets.find(({ name }: { name: string }) => name === 'list');
    expect(bucket).toMatchObject({ limit: 2, remaining: 1, retry_after_seconds: 0, blocked_until: null });
    expect(isAfterIt(60_000, bucket.reset_at)).toBe(true);
    expect(bucket.next_unit_at).toBe(bucket.reset_at);

    expect((await post(app, '/clients/ip%3A203.0.113.7/block', { for: '10min' })).status).toBe(204);
    expect(await list()).toBe(429);
    const blocked = await timed(client);
    expect(blocked.isAfterIt(600_000, blocked.answer.blocked_until)).toBe(true);
    expect((await post(app, '/clients/ip%3A203.0.113.7/unblock')).status).toBe(204);
    expect(await list()).toBe(200);
    expect(await list()).toBe(429);
    expect((await post(app, '/clients/ip%3A203.0.113.7/reset')).status).toBe(204);
    expect(await list()).toBe(200);
    expect((await client()).blocked_until).toBeNull();
  });

  test('GET /live sends a message every second until the application closes', async () => {
    const app = await open(options());
    const live = await openLive(app);
    for (let i = 0; i < 3; i++) await app.get('/shop/list');
    // Until the second after the requests, which may take several on a busy machine.
    const messages = await readLive(live, (all) => sumOf(all, 'total') === 3 && all.at(-1)?.total === 0);
    expect(COUNTS.map((name) => [name, sumOf(messages, name)])).toEqual([
      ['total', 3],
      ['allowed', 2],
      ['denied', 1],
      ['shadow_denied', 0],
      ['degraded', 0],
    ]);
    const number = expect.any(Number);
    const message = {
      total: number,
      allowed: number,
      denied: number,
      shadow_denied: number,
      degraded: number,
    };
    expect(messages).toEqual(messages.map(() => ({ at: expect.any(String), ...message, store: 'up' })));
    const sentMs = messages.map(({ at }) => Date.parse(at));
    for (let i = 1; i < sentMs.length; i++)
      expect((sentMs[i] as number) - (sentMs[i - 1] as number)).toBeGreaterThan(800);

    const last = readLive(await openLive(app), () => false);
    const time = new OwnTime();
    await app.app.close();
    expect(time.stop()).toBeLessThan(1_000);
    // None, unless a busy machine took longer than a second.
    const sinceMs = systemClock.now() - (sentMs.at(-1) as number);
    expect((await last).length).toBeLessThanOrEqual(Math.floor(sinceMs / 1_000));
  });
};

const usual: AppOptions = { controllers: [Shop], imports: [admin], root };

beforeEach(inOneHour);

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

describe.each(platforms)('the admin API on %s', (platform) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await serve(platform, usual);
  });
  afterAll(() => app.close());
  const open = starter(platform, usual);

  describe('in memory', () => operates(open));

  describe('other callers', () => {
    test('are rejected by the guards, and cannot try many tokens', async () => {
      const app = await open();
      const refused = await app.get(`${PATH}/stats`);
      expect([refused.status, refused.json.message]).toEqual([401, 'Who are you?']);
      expect((await app.get(`${PATH}/stats`, { as: 'bob' })).status).toBe(403);
      for (const path of ['/limits', '/health', '/live', '/clients/global'])
        expect((await app.get(PATH + path)).status).toBe(401);
      expect((await post(app, '/clients/global/block', { for: '1h' }, { as: 'bob' })).status).toBe(403);
      expect((await app.get('/shop/list')).status).toBe(200);
      await statuses(app, 13, `${PATH}/stats`);
      expect((await app.get(`${PATH}/stats`)).status).toBe(429);
      expect((await app.get(`${PATH}/stats`, { as: 'staff', from: '203.0.113.8' })).status).toBe(200);
    });

    test.each([
      [{ 'sec-fetch-site': 'cross-site' }, 403],
      [{ 'sec-fetch-site': 'same-site' }, 403],
      [{ 'sec-fetch-site': 'same-origin' }, 204],
      [{ 'sec-fetch-site': 'none' }, 204],
      [{ origin: 'https://evil.example' }, 403],
      [{ origin: 'null' }, 403],
      [{ origin: 'http://ops.example' }, 403],
      [{ origin: 'http://ops.example', 'x-forwarded-host': 'ops.example' }, 204],
      [{ origin: 'http://ops.example', host: 'ops.example' }, 204],
    ])('can send changes only from the same origin: %j', async (headers, status) => {
      const call = { headers: { 'x-ratelimit-admin': '1', ...headers } };
      expect((await post(app, '/clients/global/unblock', {}, call)).status).toBe(status);
      const read = await ask(app, '/stats', { headers });
      expect(read.status).toBe(status === 204 ? 200 : 403);
    });

    test('cannot send changes without the header of the page', async () => {
      const { status, json } = await post(app, '/clients/global/unblock', {}, { headers: {} });
      expect([status, json.message]).toEqual([
        403,
        'A request that changes anything must send the header X-RateLimit-Admin: 1.',
      ]);
    });
  });

  test.each([
    ['GET', '/stats?hours=0', undefined, 'hours cannot be 0'],
    ['GET', '/stats?hours=week', undefined, 'hours cannot be "week"'],
    ['GET', '/stats?top=1e3', undefined, 'top cannot be "1e3"'],
    ['GET', '/stats?top=5&top=6', undefined, 'top cannot be'],
    ['GET', '/stats?top=101', undefined, 'Give a whole number from 1 to 100.'],
    ['GET', '/clients/%20', undefined, 'is not an identity'],
    ['POST', '/clients/global/block', {}, 'is not a duration'],
    ['POST', '/clients/global/block', { for: '15 minutes' }, '"15 minutes" is not a duration'],
    ['POST', '/clients/global/block', { for: '-1min' }, 'is not a duration'],
    ['POST', '/clients/global/block', { for: { $gt: 1 } }, 'is not a duration'],
    ['POST', '/clients/global/block', [], 'is not a duration'],
  ])('%s %s %j is a 400', async (method, path, body, message) => {
    const { status, json } = await (method === 'GET' ? ask(app, path) : post(app, path, body));
    expect(json.message).toContain(message);
    expect(status).toBe(400);
    expect(app.logged).toEqual([]);
  });

  test('an identity has a maximum length; Fastify accepts more than 100 characters only if configured to', async () => {
    const statusOf = async (length: number) => (await ask(app, `/clients/${'x'.repeat(length)}`)).status;
    expect(await statusOf(100)).toBe(200);
    expect(await statusOf(1_000)).toBe(platform === 'express' ? 200 : 414);
    expect(await statusOf(1_001)).toBe(platform === 'express' ? 400 : 414);
  });

  test('an identity may contain any characters', async () => {
    const odd = 'user:../a b%2F\'"<script>/ü?#';
    const { json } = await ask(app, `/clients/${encodeURIComponent(odd)}`);
    const { json: same } = await ask(app, `/clients/${encodeURIComponent(json.identity)}`);
    expect(same.identity).toBe(json.identity);
    const path = `/clients/${encodeURIComponent(odd)}`;
    expect((await post(app, `${path}/block`, { for: '1h' })).status).toBe(204);
    expect((await ask(app, path)).json.blocked_until).not.toBeNull();
  });

  test('GET /limits shows paths with the global prefix and the version, and enforced limits', async () => {
    const write = RateLimit({
      name: 'writes',
      rate: '100/hour',
      burst: 150,
      algorithm: 'token-bucket',
      methods: ['POST'],
      when: () => true,
      phase: 'before-guards',
      countWhen: () => true,
    });
    @Controller({ path: 'items', version: [VERSION_NEUTRAL, '2'] })
    class Items {
      @Post(['', 'one/:id']) @write write() {
        return 'ok';
      }
    }
    const inner = moduleOf({ controllers: [Items] }, 'InnerModule');
    const app = await open({
      routes: { '/health': RateLimit('5/min') },
      imports: [admin, inner, RouterModule.register([{ path: 'inner', module: inner }])],
      prepare: (nest) =>
        nest.setGlobalPrefix('api', { exclude: ['health'] }).enableVersioning({ type: VersioningType.URI }),
    });
    const { json } = await app.get(`/api${PATH}/limits`, { as: 'staff' });
    const pathOf = (name: string) => json.routes.find(({ route }: { route: string }) => route === name);
    const paths = [
      '/api/inner/items',
      '/api/inner/items/one/:id',
      '/api/v2/inner/items',
      '/api/v2/inner/items/one/:id',
    ];
    const { path, limits } = pathOf('Items.write');
    expect(path.split(', ')).toEqual(paths);
    expect(limits).toMatchObject([
      { name: 'all' },
      {
        name: 'writes',
        rate: '100/hour, burst 150',
        methods: ['POST'],
        conditional: true,
        counts_when: true,
      },
    ]);
    expect(pathOf('Shop.health').path).toBe('/health');
    for (const path of paths) expect((await app.get(path, { method: 'POST' })).status).toBe(201);
    expect((await app.get('/health')).status).toBe(200);
    expect((await app.get(`/api${PATH}`)).status).toBe(200);
  });

  test('a stream that starts while the application closes does not keep it open', async () => {
    const { promise: drained, resolve: release } = withResolvers<void>();
    const { promise: draining, resolve: drain } = withResolvers<void>();
    const slow = {
      beforeApplicationShutdown: () => {
        drain();
        return drained;
      },
    };
    const app = await open({ providers: [{ provide: 'slow', useValue: slow }] });
    const closing = app.app.close();
    await draining;
    expect((await ask(app, '/live')).status).toBe(503);
    release();
    await closing;
  });

  test('/access tells the page whether it needs a token, but is limited', async () => {
    const app = await open();
    const access = (call: Call = {}) => app.get(`${PATH}/access`, call);
    const { status, json } = await access();
    expect([status, json]).toEqual([200, { allowed: false }]);
    expect((await access({ as: 'staff' })).status).toBe(204);
    await statuses(app, 19, `${PATH}/access`, { as: 'bob' });
    expect((await access({ as: 'bob' })).status).toBe(429);
    expect((await access({ as: 'staff', from: '203.0.113.8' })).status).toBe(204);
  });

  test('the page is public and has a content security policy', async () => {
    const { status, headers, text } = await app.get(PATH);
    expect(status).toBe(200);
    expect(text).toMatch(/^<!doctype html>/);
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'sha256-/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-cache');
  });

  test('interceptors of the application do not change its responses', async () => {
    const app = await open({
      prepare: (nest) =>
        nest.useGlobalInterceptors({
          intercept: (_context: unknown, next: CallHandler) => next.handle().pipe(map((data) => ({ data }))),
        }),
    });
    expect((await app.get('/shop/list')).json).toEqual({ data: 'ok' });
    expect((await ask(app, '/health')).json.status).toBe('up');
    expect((await app.get(PATH)).text).toMatch(/^<!doctype html>/);
    const one = await readLive(await openLive(app), ({ length }) => length >= 1);
    expect(one).toMatchObject([{ total: 0 }]);
  });
});

describe('the admin API', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await serve('express', usual);
  });
  afterAll(() => app.close());
  const open = starter('express', usual);

  describe('on Redis', () => {
    beforeEach(() => redis.cli('FLUSHALL'));

    operates(open, () => ({
      root: () => root(new RedisStore({ url: redis.url, clock: new TestClock(Date.now()) })),
    }));
  });

  test('GET /limits returns every route with its enforced limits', async () => {
    const { json } = await ask(app, '/limits');
    const routes = json.routes.filter(({ route }: { route: string }) => route.startsWith('Shop.'));
    expect(routes).toEqual([
      {
        route: 'Shop.list',
        transport: 'http',
        method: 'GET',
        path: '/shop/list',
        limits: [
          {
            name: 'all',
            scope: '*',
            rate: '100 in 1 hour, burst 150',
            key: 'ip',
            algorithm: 'token-bucket',
            cost: 1,
            shadow: false,
            block: null,
            methods: null,
            conditional: false,
            counts_when: false,
            fail_mode: 'local',
            source: 'module',
          },
          expect.objectContaining({
            name: 'list',
            rate: '2/min',
            block: '15 minutes, then 1 hour',
            source: 'method',
          }),
        ],
      },
      {
        route: 'Shop.mine',
        transport: 'http',
        method: 'GET',
        path: '/shop/mine',
        limits: [
          expect.anything(),
          expect.objectContaining({ rate: 'default: 3/min, pro: 9/min', key: 'user' }),
        ],
      },
      {
        route: 'Shop.login',
        transport: 'http',
        method: 'POST',
        path: '/shop/login',
        limits: [
          expect.anything(),
          expect.objectContaining({ name: 'login', key: 'ip+body:email', shadow: true, source: 'scope' }),
        ],
      },
    ]);
  });

  test('GET /health describes the store; while it fails, clients are shown from the local state', async () => {
    let held: HeldStore | undefined;
    const app = await open({
      controllers: [Plain],
      root: (store) => {
        held = new HeldStore(store, false);
        return limits({ store: held, breaker: { threshold: 1 } });
      },
    });
    const { json } = await ask(app, '/health');
    expect(json).toEqual({
      status: 'up',
      degraded: 0,
      shards: [{ shard: '', breaker: 'closed', failures: 0, error: null, retry_after_seconds: 0 }],
    });
    (held as HeldStore).manner = 'rejects';
    await app.get('/plain', { from: '203.0.113.7' });
    expect((await ask(app, '/health')).json).toMatchObject({
      status: 'degraded',
      degraded: expect.any(Number),
      shards: [{ breaker: expect.stringMatching('open'), error: 'store is down' }],
    });
    const { json: client } = await ask(app, '/clients/ip:203.0.113.7');
    expect(client.buckets).toContainEqual(expect.objectContaining({ name: 'list', remaining: 1 }));
    const blocked = await post(app, '/clients/ip:203.0.113.7/block', { for: '1min' });
    expect([blocked.status, blocked.json.message]).toEqual([503, expect.stringContaining('store')]);
  });

  describe('other callers', () => {
    test('can call it as often as operators, because its routes are not limited', async () => {
      for (let i = 0; i < 120; i++) expect((await ask(app, '/health')).status).toBe(200);
    });
  });

  test('a memory store without room for another block is reported', async () => {
    const app = await open({ store: new MemoryStore({ maxBuckets: 2 }) });
    expect((await post(app, '/clients/user:1/block', { for: '1h' })).status).toBe(204);
    const { status, json } = await post(app, '/clients/user:2/block', { for: '1h' });
    expect([status, json.message]).toEqual([409, expect.stringContaining('no room for another block')]);
  });

  test('a client has buckets for each tier, and for the fallback identities that were charged', async () => {
    const app = await open({
      controllers: [
        Shop,
        routes(
          {
            '/odd/key': RateLimit({ name: 'key', rate: '5/min', key: 'header:x-api-key' }),
            '/odd/both': RateLimit({ name: 'both', rate: '5/min', key: 'ip+body:email' }),
          },
          { name: 'Odd' },
        ),
      ],
    });
    await app.get('/shop/mine', { as: 'bob' });
    const { buckets } = (await ask(app, '/clients/user:bob')).json;
    expect(buckets).toEqual([
      expect.objectContaining({ name: 'mine', tier: 'default', limit: 3, remaining: 2 }),
      expect.objectContaining({ name: 'mine', tier: 'pro', limit: 9, remaining: 8 }),
    ]);
    const namesOf = async (identity: string): Promise<string[]> =>
      (await ask(app, `/clients/${identity}`)).json.buckets.map(({ name }: { name: string }) => name);
    expect(await namesOf('ip:203.0.113.7')).not.toContain('key');
    await app.get('/odd/key', { from: '203.0.113.7' });
    await app.get('/odd/both', { from: '203.0.113.7' });
    expect(await namesOf('ip:203.0.113.7')).toEqual(expect.arrayContaining(['key', 'both']));
  });

  test.each([
    ['a module that only reports', { shadow: true }],
    ['a module whose limits are open while the store fails', { failMode: 'open' }],
    ['an application that registers the guard itself', { registerGuard: false }],
  ] as const)('wrong tokens are counted in %s', async (_what, options) => {
    const app = await open({ root: (store) => limits({ store, ...options }), controllers: [] });
    expect(await statuses(app, 22, `${PATH}/stats`)).toEqual([...times(20, 401), 429, 429]);
    expect((await ask(app, '/health', { from: '203.0.113.9' })).status).toBe(200);
  });

  test('a guard that hides the API rejects callers', async () => {
    class Hides implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        if (context.switchToHttp().getRequest().headers.authorization === 'Bearer staff') return true;
        throw new NotFoundException();
      }
    }
    const app = await open({ imports: [RateLimitAdminModule.forRoot({ guards: [Hides] })] });
    expect(await statuses(app, 21, `${PATH}/stats`)).toEqual([...times(20, 404), 429]);
  });

  test('an operator who blocks the address of all operators can undo it', async () => {
    const app = await open();
    expect((await post(app, '/clients/ip:127.0.0.1/block', { for: '7d' })).status).toBe(204);
    expect((await app.get('/shop/list')).status).toBe(429);
    expect((await ask(app, '/clients/ip:127.0.0.1')).json.blocked_until).not.toBeNull();
    expect((await post(app, '/clients/ip:127.0.0.1/unblock')).status).toBe(204);
    expect((await app.get('/shop/list')).status).toBe(200);
  });

  test('requests from other sites do not count against an operator', async () => {
    for (let i = 0; i < 25; i++) {
      const headers = { 'sec-fetch-site': 'cross-site' };
      expect((await ask(app, '/stats', { headers })).status).toBe(403);
      expect((await app.get(`${PATH}/access`, { headers })).status).toBe(403);
    }
    expect((await ask(app, '/stats')).status).toBe(200);
  });

  test.each([
    ['statistics', { statistics: false }, '/stats', 'GET'],
    ['limits', { enabled: false }, '/clients/global/block', 'POST'],
  ] as const)('reports that %s are disabled', async (what, options, path, method) => {
    const app = await open({ root: (store) => limits({ store, ...options }), controllers: [] });
    const { status, json } = await (method === 'GET' ? ask(app, path) : post(app, path, { for: '1h' }));
    expect([status, json.message]).toEqual([409, expect.stringContaining(`${what} are turned off`)]);
  });

  test('the guard instance of an imported module is used, not another one of its class', async () => {
    @Injectable()
    class KeyGuard implements CanActivate {
      constructor(@Inject('KEY') readonly key: string) {}
      canActivate(context: ExecutionContext) {
        return context.switchToHttp().getRequest().headers['x-key'] === this.key;
      }
    }
    const keyed = (name: string, key: string) =>
      moduleOf({ providers: [{ provide: 'KEY', useValue: key }, KeyGuard], exports: [KeyGuard] }, name);
    const ours = keyed('OursModule', 'ours');
    const app = await open({
      imports: [
        ours,
        RateLimitAdminModule.forRoot({ imports: [ours], guards: [KeyGuard] }),
        keyed('PartnersModule', 'theirs'),
      ],
    });
    expect((await app.get(`${PATH}/health`, { headers: { 'x-key': 'ours' } })).status).toBe(200);
    expect((await app.get(`${PATH}/health`, { headers: { 'x-key': 'theirs' } })).status).toBe(403);
  });

  test.each([
    [{ page: false }, 404],
    [{ page: 'guarded' }, 401],
  ] as const)('the page with %j', async (options, status) => {
    const imports = [RateLimitAdminModule.forRoot({ guards: [StaffGuard], ...options })];
    const app = await open({ imports });
    expect((await app.get(PATH)).status).toBe(status);
    if (status === 401) expect((await app.get(PATH, { as: 'staff' })).status).toBe(200);
    expect((await app.get(`${PATH}/health`, { as: 'staff' })).status).toBe(200);
  });

  test('can be at another path, with guards from other providers of any kind', async () => {
    @Injectable()
    class Tokens {
      readonly good: string = 'Bearer staff';
    }
    @Injectable()
    class TokenGuard implements CanActivate {
      constructor(readonly tokens: Tokens) {}
      async canActivate(context: ExecutionContext) {
        return context.switchToHttp().getRequest().headers.authorization === this.tokens.good;
      }
    }
    @Module({ providers: [Tokens, TokenGuard], exports: [Tokens, TokenGuard] })
    class TokenModule {}
    const options: RateLimitAdminAsyncOptions = {
      path: '/ops/limits/',
      imports: [TokenModule],
      inject: [Tokens],
      useFactory: async ({ good }: Tokens) => ({
        guards: [
          TokenGuard,
          { canActivate: () => of(good !== '') },
          class Made implements CanActivate {
            canActivate = () => true;
          },
        ],
      }),
    };
    const app = await open({ imports: [RateLimitAdminModule.forRootAsync(options)] });
    expect((await app.get('/ops/limits/health', { as: 'staff' })).status).toBe(200);
    expect((await app.get('/ops/limits/health', { as: 'bob' })).status).toBe(403);
  });

  test.each([
    [{}, 'RateLimitAdminModule has no guards, so everybody could block clients and reset limits.'],
    [{ guards: [] }, 'RateLimitAdminModule has no guards'],
    [{ guards: [], allowUnguarded: false }, 'RateLimitAdminModule has no guards'],
    [{ guards: StaffGuard }, 'guards cannot be'],
    [{ guards: [class {}] }, 'is not a guard'],
    [{ guards: [null] }, 'null is not a guard'],
    [{ guards: [PerRequest] }, 'PerRequest is created for each request'],
    [{ guard: StaffGuard }, 'RateLimitAdminModule.forRoot: Unknown option "guard".'],
    [{ allowUnguarded: 'yes' }, 'allowUnguarded cannot be "yes".'],
    [{ guards: [StaffGuard], path: '' }, 'path cannot be ""'],
    [{ guards: [StaffGuard], page: 'open' }, 'page cannot be "open".'],
    [undefined, 'RateLimitAdminModule.forRoot: Expected an object of options, but got undefined.'],
  ])('does not start with %j', async (options, message) => {
    await expect(
      (async () => open({ imports: [RateLimitAdminModule.forRoot(options as never)] }))(),
    ).rejects.toThrow(message);
  });

  test.each([
    [undefined, 'RateLimitAdminModule: Expected an object of options, but got undefined.'],
    [{ guard: [StaffGuard] }, 'RateLimitAdminModule: Unknown option "guard".'],
    [
      [StaffGuard],
      'RateLimitAdminModule: Expected an object of options, but got a list. Give an object. The useFactory',
    ],
  ])('does not start with a factory that returns %j', async (access, message) => {
    const imports = [RateLimitAdminModule.forRootAsync({ useFactory: () => access as never })];
    await expect(open({ imports })).rejects.toThrow(message);
  });

  test('does not start with guards that depend on a request', async () => {
    const tenant = { provide: 'TENANT', scope: Scope.REQUEST, useFactory: () => 'acme' };
    const tenants = moduleOf({ providers: [tenant], exports: ['TENANT'] }, 'TenantsModule');
    const options: RateLimitAdminAsyncOptions = {
      imports: [tenants],
      inject: ['TENANT'],
      useFactory: () => ({ guards: [StaffGuard] }),
    };
    await expect(open({ imports: [RateLimitAdminModule.forRootAsync(options)] })).rejects.toThrow(
      'on a request-scoped provider, so nobody would have access.',
    );
  });

  test.each([
    ['forRoot', RateLimitAdminModule.forRoot({ guards: [StaffGuard] })],
    ['forRoot with a guarded page', RateLimitAdminModule.forRoot({ guards: [StaffGuard], page: 'guarded' })],
    [
      'forRootAsync',
      RateLimitAdminModule.forRootAsync({ useFactory: async () => ({ guards: [StaffGuard] }) }),
    ],
  ])('does not start without RateLimitModule: %s', async (_what, module) => {
    const rootless = () => ({ module: moduleOf({}, 'RootlessModule') });
    await expect(open({ root: rootless, imports: [module] })).rejects.toThrow(
      '[bad-option] RateLimitAdminModule: RateLimitModule is not imported, so there are no limits to show. Import RateLimitModule.forRoot({ ... }) in the root module.',
    );
  });

  test('leaves errors in the options of RateLimitModule to that module', async () => {
    const options = { key: 'usr' } as never;
    await expect(open({ root: () => RateLimitModule.forRoot(options), imports: [admin] })).rejects.toThrow(
      '[bad-key] key: ',
    );
  });

  test('starts without guards if the options say so', async () => {
    const app = await open({ imports: [RateLimitAdminModule.forRoot({ allowUnguarded: true })] });
    expect((await app.get(`${PATH}/health`)).status).toBe(200);
  });
});

describe('the admin API of a fleet', () => {
  beforeEach(() => redis.cli('FLUSHALL'));
  const open = starter('express', {
    controllers: [Shop],
    imports: [admin],
    root: () => root(new RedisStore({ url: redis.url })),
  });

  test('one process shows and blocks the clients that another has counted', async () => {
    const [one, other] = [await open(), await open()];
    for (let i = 0; i < 2; i++) await one.get('/shop/list', { from: '203.0.113.7' });
    for (let i = 0; i < 3; i++) await other.get('/shop/list', { from: '203.0.113.8' });
    for (const app of [one, other]) {
      const stats = await until('both have written', async () => {
        const { json } = await ask(app, '/stats');
        return json.is_complete && json.current_hour.total_requests === 5 && json;
      });
      expect(stats.current_hour).toEqual({ total_requests: 5, throttled_requests: 1, unique_ips: 2 });
    }
    expect((await ask(other, '/clients/ip:203.0.113.7')).json.buckets).toContainEqual(
      expect.objectContaining({ name: 'list', remaining: 0 }),
    );
    await post(other, '/clients/ip:203.0.113.9/block', { for: '1h' });
    expect((await one.get('/shop/mine', { from: '203.0.113.9' })).status).toBe(429);
  });
});
