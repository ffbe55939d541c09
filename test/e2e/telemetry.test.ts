import { Controller, Get, UseGuards } from '@nestjs/common';
import type { Attributes } from '@opentelemetry/api';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { type MeterLike, RateLimit, RateLimitModule } from 'nestjs-ratelimit';
import { AuthGuard, platforms, starter, type TestApp } from '../support/app.js';
import { HeldStore } from '../support/held-store.js';

@Controller()
class Shop {
  @Get('two') @RateLimit({ name: 'two', rate: '2/min' }) two() {
    return 'ok';
  }
  @Get('shadow') @RateLimit({ name: 'dry', rate: '1/min', shadow: true }) shadow() {
    return 'ok';
  }
  @Get('mine')
  @UseGuards(new AuthGuard())
  @RateLimit({ name: 'address', rate: '9/min' })
  @RateLimit({ name: 'user', rate: '1/min', key: 'user' })
  mine() {
    return 'ok';
  }
  @Get('closed') @RateLimit({ name: 'closed', rate: '5/min', failMode: 'closed' }) closed() {
    return 'ok';
  }
}

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

describe.each(platforms)('OpenTelemetry on %s', (platform) => {
  const open = starter(platform, { controllers: [Shop], middleware: false });

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

  test('tells how long decisions took, by store and outcome', async () => {
    const { app, store, points, metrics } = await opened();
    for (let i = 0; i < 3; i++) await app.get('/two');
    store.manner = 'rejects';
    await app.get('/closed');
    await app.get('/two', { from: '203.0.113.7' });
    const found = await points('rate_limit.decision.duration');
    const counts = Object.entries(found).map(([name, value]) => [name, (value as { count: number }).count]);
    expect(Object.fromEntries(counts)).toEqual({
      'other allowed': 2,
      'other denied': 1,
      'other unavailable store_unavailable': 1,
      'local allowed': 1,
    });
    const [allowed] = Object.values(found) as { sum: number; max: number }[];
    expect(allowed?.sum).toBeGreaterThan(0);
    expect(allowed?.max).toBeLessThan(1);
    const { descriptor } =
      (await metrics()).find(({ descriptor }) => descriptor.name.endsWith('duration')) ?? {};
    expect(descriptor?.unit).toBe('s');
  });

  test('tells of buckets, and of the state of each breaker', async () => {
    const { app, store, points } = await opened();
    expect(await points('rate_limit.breaker.state')).toEqual({
      'other  closed': 1,
      'other  half-open': 0,
      'other  open': 0,
    });
    store.manner = 'rejects';
    for (let i = 0; i < 3; i++) await app.get('/two', { from: `203.0.113.${i}` });
    expect(await points('rate_limit.buckets')).toEqual({ local: 3 });
    const { 'other  closed': closed } = await points('rate_limit.breaker.state');
    expect(closed).toBe(0);
    const own = measured();
    const plain = await open({ options: { meter: own.meter } });
    await plain.get('/two');
    expect(await own.points('rate_limit.buckets')).toEqual({ memory: 1 });
  });

  test('a closed application is asked for nothing any more', async () => {
    const { app, points } = await opened();
    await app.get('/two');
    await app.app.close();
    expect(await points('rate_limit.decisions')).toEqual({});
  });

  test('a meter that fails is reported once, and no request feels it', async () => {
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
      expect.stringMatching(/^meter: A measurement could not be handed on\. Cause: "no room"/),
    ]);
  });

  test.each([{}, 'prometheus', { createHistogram() {} }])('meter: %j is a mistake', async (meter) => {
    await expect(open({ options: { meter } as never })).rejects.toThrow(
      `Give a Meter, such as metrics.getMeter('nestjs-ratelimit') of @opentelemetry/api.`,
    );
  });
});
