import { UseGuards } from '@nestjs/common';
import type { Attributes } from '@opentelemetry/api';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { type MeterLike, RateLimit, RateLimitModule, RateLimitStats } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { AuthGuard, inOneHour, moduleOf, routes, starter, type TestApp } from '../support/app.js';
import { HeldStore } from '../support/held-store.js';
import { startRedis } from '../support/redis.js';
import { Shop } from '../support/watched-shop.js';

class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

/** A meter of the SDK, and what it has measured. */
function measured() {
  const reader = new Reader();
  const meter = new MeterProvider({ readers: [reader] }).getMeter('nestjs-ratelimit');
  const metrics = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    expect(errors).toEqual([]);
    return resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
  };
  /** The points of a metric, by the values of their attributes. */
  const points = async (name: string): Promise<Record<string, unknown>> => {
    const metric = (await metrics()).find(({ descriptor }) => descriptor.name === name);
    const all = (metric?.dataPoints ?? []) as readonly { attributes: Attributes; value: unknown }[];
    return Object.fromEntries(
      all.map(({ attributes, value }) => [Object.values(attributes).join(' '), value]),
    );
  };
  return { meter, metrics, points };
}

/** How many values each point of a histogram has. */
const countsOf = (points: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(points).map(([name, value]) => [name, (value as { count: number }).count]),
  );

describe('OpenTelemetry', () => {
  const open = starter('express', { controllers: [Shop], middleware: false });

  const opened = async (): Promise<{ app: TestApp; store: HeldStore } & ReturnType<typeof measured>> => {
    const telemetry = measured();
    let store: HeldStore | undefined;
    const app = await open({
      root: (memory) => {
        store = new HeldStore(memory, false);
        return RateLimitModule.forRoot({ store, meter: telemetry.meter, breaker: { threshold: 1 } });
      },
    });
    return { app, store: store as HeldStore, ...telemetry };
  };

  test('counts decisions by limit, route and outcome', async () => {
    const { app, store, points } = await opened();
    for (let i = 0; i < 5; i++) await app.get('/two');
    for (let i = 0; i < 3; i++) await app.get('/shadow');
    for (let i = 0; i < 2; i++) await app.get('/mine', { as: 'alice' });
    store.manner = 'rejects';
    expect((await app.get('/closed')).status).toBe(503);
    expect(await points('rate_limit.decisions')).toEqual({
      'two Shop.two allowed': 2,
      'two Shop.two denied': 3,
      'dry Shop.shadow allowed': 1,
      'dry Shop.shadow shadow_denied': 2,
      'address Shop.mine allowed': 2,
      'user Shop.mine allowed': 1,
      'user Shop.mine denied': 1,
      'closed Shop.closed unavailable': 1,
    });
  });

  test('measures how long decisions took, by store and outcome', async () => {
    const beganMs = performance.now();
    const { app, store, points, metrics } = await opened();
    for (let i = 0; i < 3; i++) await app.get('/two');
    store.manner = 'rejects';
    await app.get('/closed');
    await app.get('/two', { from: '203.0.113.7' });
    const found = await points('rate_limit.decision.duration');
    expect(countsOf(found)).toEqual({
      'held allowed': 2,
      'held denied': 1,
      'held unavailable StoreUnavailableError': 1,
      'local allowed': 1,
    });
    const [allowed] = Object.values(found) as { sum: number; max: number }[];
    expect(allowed?.sum).toBeGreaterThan(0);
    // On a busy machine too, a decision took no longer than the test.
    expect(allowed?.max).toBeLessThan(Math.max(1, (performance.now() - beganMs) / 1_000));
    const { descriptor } =
      (await metrics()).find(({ descriptor }) => descriptor.name.endsWith('duration')) ?? {};
    expect(descriptor?.unit).toBe('s');
  });

  test('measures once a request that is decided in two phases', async () => {
    const { app, points } = await opened();
    await app.get('/mine', { as: 'alice' });
    await app.get('/mine', { as: 'alice' });
    expect(countsOf(await points('rate_limit.decision.duration'))).toEqual({
      'held allowed': 1,
      'held denied': 1,
    });
  });

  test('observes buckets and the state of each breaker', async () => {
    const { app, store, points } = await opened();
    expect(await points('rate_limit.breaker.state')).toEqual({
      'held  closed': 1,
      'held  half-open': 0,
      'held  open': 0,
    });
    store.manner = 'rejects';
    for (let i = 0; i < 3; i++) await app.get('/two', { from: `203.0.113.${i}` });
    expect(await points('rate_limit.buckets')).toEqual({ local: 3 });
    const { 'held  closed': closed } = await points('rate_limit.breaker.state');
    expect(closed).toBe(0);
    const own = measured();
    const plain = await open({ options: { meter: own.meter } });
    await plain.get('/two');
    expect(await own.points('rate_limit.buckets')).toEqual({ memory: 1 });
  });

  test('after the application closes, its state is no longer observed, but its decisions are', async () => {
    const { app, points } = await opened();
    await app.get('/two');
    await app.app.close();
    expect(await points('rate_limit.buckets')).toEqual({});
    expect(await points('rate_limit.breaker.state')).toEqual({});
    expect(await points('rate_limit.decisions')).toEqual({ 'two Shop.two allowed': 1 });
  });

  test('classes of the same name share a series, and nothing is lost', async () => {
    const { meter, points } = measured();
    const named = (path: string) => routes({ [`/${path}/get`]: RateLimit({ name: 'same', rate: '5/min' }) });
    const other = moduleOf({ controllers: [named('b')] }, 'OtherModule');
    const app = await open({ controllers: [named('a')], imports: [other], options: { meter } });
    await app.get('/a/get');
    await app.get('/b/get');
    await app.get('/b/get');
    expect(await points('rate_limit.decisions')).toEqual({ 'same Shop.get allowed': 3 });
  });

  test('a call without decisions is not timed, and a failure names its cause', async () => {
    const { meter, points } = measured();
    await inOneHour();
    const app = await open({
      routes: {
        '/users': [UseGuards(new AuthGuard()), RateLimit({ rate: '5/min', key: 'user' })],
        '/broken': RateLimit({
          rate: () => Promise.reject(new Error('no database')),
          phase: 'before-guards',
        }),
      },
      options: { meter, statistics: true },
    });
    await app.get('/users');
    await app.get('/users', { as: 'alice' });
    expect((await app.get('/broken')).status).toBe(503);
    const found = await points('rate_limit.decision.duration');
    expect(countsOf(found)).toEqual({ 'memory allowed': 1, 'memory unavailable UnknownRateError': 1 });
    const { currentHour } = await app.app.get(RateLimitStats).snapshot();
    expect(currentHour).toMatchObject({ total: 3, denied: 1, degraded: 0 });
  });

  test('decisions on Redis have the store redis', async () => {
    const { meter, points } = measured();
    const redis = await startRedis();
    const app = await open({
      // So patient that the store decides, however busy the machine is.
      root: () =>
        RateLimitModule.forRoot({ store: new RedisStore({ url: redis.url }), meter, timeoutMs: 60_000 }),
    });
    await app.get('/two');
    expect(Object.keys(await points('rate_limit.decision.duration'))).toEqual(['redis allowed']);
    expect(await points('rate_limit.buckets')).toEqual({ local: 0 });
  });

  test('a meter without instruments is reported, and nothing is measured', async () => {
    const fails = () => {
      throw new Error('no exporter');
    };
    const meter = { createHistogram: fails, createObservableCounter: fails, createObservableGauge: fails };
    const app = await open({ options: { meter } });
    expect((await app.get('/two')).status).toBe(200);
    expect(app.logged).toEqual([
      expect.stringContaining('failed to create instruments, so nothing is measured.'),
    ]);
  });

  test('a meter that fails is reported once, and affects no request', async () => {
    const { meter } = measured();
    const failing = Object.create(meter, {
      createHistogram: {
        value: () => ({
          record() {
            throw new Error('no room');
          },
        }),
      },
    }) as MeterLike;
    const app = await open({ options: { meter: failing } });
    expect((await app.get('/two')).status).toBe(200);
    expect((await app.get('/two')).status).toBe(200);
    expect(app.logged).toEqual([
      expect.stringMatching(/^meter: A measurement could not be recorded\. Cause: "no room"/),
    ]);
  });

  test.each([{}, 'prometheus', { createHistogram() {} }])('meter: %j is an error', async (meter) => {
    await expect(open({ options: { meter } as never })).rejects.toThrow(
      `Give a Meter, such as metrics.getMeter('nestjs-ratelimit') of @opentelemetry/api.`,
    );
  });
});
