import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import {
  MemoryStore,
  RateLimit,
  RateLimitEvents,
  RateLimiter,
  RateLimitHealthIndicator,
  type RateLimitModuleOptions,
} from 'nestjs-ratelimit';
import { type Platform, platforms, routes, starter, statuses, times } from '../support/app.js';
import { storeWith } from '../support/stores.js';
import { until } from '../support/until.js';

const Shop = routes({
  '/local': RateLimit({ name: 'local', rate: '2/hour' }),
  '/open': RateLimit({ name: 'open', rate: '2/hour', failMode: 'open' }),
  '/closed': RateLimit({ name: 'closed', rate: '2/hour', failMode: 'closed' }),
  '/local-open': [
    RateLimit({ name: 'two', rate: '2/hour' }),
    RateLimit({ name: 'one', rate: '1/hour', failMode: 'open' }),
  ],
  '/local-closed': [
    RateLimit({ name: 'two', rate: '2/hour' }),
    RateLimit({ name: 'one', rate: '1/hour', failMode: 'closed' }),
  ],
  '/shadow-closed': [
    RateLimit({ name: 'two', rate: '2/hour' }),
    RateLimit({ name: 'one', rate: '1/hour', failMode: 'closed', shadow: true }),
  ],
  '/eight': RateLimit({ name: 'eight', rate: '8/hour' }),
  'POST /costly': RateLimit({ name: 'costly', rate: '8/hour', cost: 5 }),
  '/none': RateLimit({ name: 'none', rate: '0/hour' }),
  '/bad-rate-open': RateLimit({ name: 'bad', rate: () => 'nonsense' as never, failMode: 'open' }),
  '/bad-rate-local': RateLimit({ name: 'bad', rate: () => 'nonsense' as never }),
});

@Controller()
class Health {
  constructor(
    readonly health: HealthCheckService,
    readonly rateLimits: RateLimitHealthIndicator,
  ) {}

  @Get('health') @HealthCheck() tolerant() {
    return this.health.check([() => this.rateLimits.isHealthy('limits')]);
  }
  @Get('health/strict') @HealthCheck() strict() {
    return this.health.check([() => this.rateLimits.isHealthy('limits', { degraded: 'down' })]);
  }
}

/** A store that fails while `state.fails`. */
function failingStore() {
  const inner = new MemoryStore();
  const state = { fails: true };
  const store = storeWith(inner, {
    consume: async (charges) => {
      if (state.fails) throw new Error('out of order');
      return inner.consume(charges);
    },
  });
  return { state, store };
}

/** Starts applications on stores that fail. */
const startFailing = (platform: Platform) => {
  const open = starter(platform, {
    controllers: [Shop, Health],
    imports: [TerminusModule.forRoot({ logger: false })],
  });
  return async (options: RateLimitModuleOptions = {}) => {
    const { state, store } = failingStore();
    return { state, app: await open({ options: { store, ...options } }) };
  };
};

describe.each(platforms)('an outage on %s', (platform) => {
  const start = startFailing(platform);

  test('limits that are left out are in no header', async () => {
    const { app } = await start();
    const { headers } = await app.get('/local-open');
    expect(headers.get('ratelimit')).toBe('"two";r=1;t=3600');
    expect([...(await app.get('/open')).headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual(
      [],
    );
  });

  test("body: 'problem' applies to a 503", async () => {
    const { app } = await start({ body: 'problem' });
    const { status, headers, json } = await app.get('/local-closed');
    expect([
      status,
      headers.get('content-type'),
      headers.get('retry-after'),
      headers.get('cache-control'),
    ]).toEqual([503, expect.stringContaining('application/problem+json'), '1', 'no-store']);
    expect(json).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      title: 'Request cannot be satisfied due to temporary server capacity constraints',
      status: 503,
      detail: 'The request could not be checked against its rate limit. Try again shortly.',
      'violated-policies': ['one'],
    });
  });
});

describe('an outage', () => {
  const start = startFailing('express');

  test.each([
    ['local', [200, 200, 429, 429]],
    ['open', [200, 200, 200, 200]],
    ['closed', [503, 503, 503, 503]],
    ['local-open', [200, 200, 429, 429]],
    ['local-closed', [503, 503, 503, 503]],
    ['shadow-closed', [200, 200, 429, 429]],
    ['none', [429, 429]],
  ])('A37 limits that are %s', async (path, expected) => {
    const { app } = await start();
    expect(await statuses(app, expected.length, `/${path}`)).toEqual(expected);
  });

  test.each([
    ['open', 200],
    ['closed', 503],
  ] as const)("the module's failMode %s applies to limits that do not set it", async (failMode, status) => {
    const { app } = await start({ failMode });
    expect(await statuses(app, 4, '/local')).toEqual(times(4, status));
    expect(await statuses(app, 2, '/open')).toEqual([200, 200]);
  });

  test('limits are divided among instances, except 0, and never below a cost', async () => {
    const { app } = await start({ instances: 4 });
    expect(await statuses(app, 4, '/eight')).toEqual([200, 200, 429, 429]);
    expect(await statuses(app, 2, '/costly', { method: 'POST' })).toEqual([201, 429]);
    expect(await statuses(app, 1, '/none')).toEqual([429]);
  });

  test('an unknown rate passes if the limit fails open, otherwise it is a 503', async () => {
    const { app, state } = await start();
    state.fails = false;
    expect((await app.get('/bad-rate-open')).status).toBe(200);
    expect((await app.get('/bad-rate-local')).status).toBe(503);
  });

  test('events and Terminus report it', async () => {
    const { app, state } = await start();
    const heard: unknown[] = [];
    const events = app.app.get(RateLimitEvents);
    events.on('degraded', ({ limits, route }) => heard.push([...limits, route]));
    events.on('breaker', ({ shard, state: now }) => heard.push([shard, now]));
    events.on('recovered', ({ degraded }) => heard.push(degraded));
    expect((await app.get('/health')).json).toMatchObject({
      status: 'ok',
      info: { limits: { status: 'up', store: 'up', degraded: 0 } },
    });
    expect((await app.get('/health/strict')).status).toBe(200);

    for (let i = 0; i < 6; i++) await app.get('/open');
    expect(heard.slice(0, 4)).toEqual(Array.from({ length: 4 }, () => ['Shop.open']));
    expect(heard).toContainEqual(['', 'open']);
    expect((await app.get('/health')).json).toMatchObject({
      status: 'ok',
      info: { limits: { status: 'up', store: 'degraded', shards: [{ shard: '', error: 'out of order' }] } },
    });
    const strict = await app.get('/health/strict');
    expect([strict.status, strict.json.error.limits.status]).toEqual([503, 'down']);

    state.fails = false;
    await until('the store decides again', async () => app.app.get(RateLimiter).health().status === 'up');
    // The fifth, which opened the breaker, and the sixth.
    expect(heard.slice(-2)).toEqual([['', 'closed'], 2]);
    expect((await app.get('/health/strict')).status).toBe(200);
  });

  test.each<[string, RateLimitModuleOptions, string]>([
    ['failMode', { failMode: 'opne' as never }, "Give 'local' or 'open' or 'closed', or leave it out."],
    ['timeoutMs', { timeoutMs: 0 }, 'Give whole milliseconds from 1 to 60000; 100 is usual.'],
    ['instances', { instances: 1.5 }, 'Give the number of processes, 1 or more.'],
    [
      'breaker',
      { breaker: { treshold: 3 } as never },
      'Give { threshold: 5, initialBackoffMs: 100 }, or one',
    ],
    ['breaker', { breaker: { threshold: 0 } }, 'Give { threshold: 5, initialBackoffMs: 100 }, or one'],
  ])('an invalid %s is an error at start-up', async (name, options, fix) => {
    await expect(start(options)).rejects.toThrow(`RateLimitModule: ${name} cannot be`);
    await expect(start(options)).rejects.toThrow(fix);
    expect(() => new RateLimiter({ scopes: {}, ...(options as object) })).toThrow(fix);
  });
});
