import type { INestApplication } from '@nestjs/common';
import autocannon from 'autocannon';
import got from 'got';
import { MemoryStore } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { parseRateLimit } from 'ratelimit-header-parser';
import { createShop } from '../../sample-app/app.js';

/** Clients that others wrote, against the shop. */
describe.each(['express', 'fastify'] as const)('clients of the shop on %s', (platform) => {
  let app: INestApplication;
  let clock: TestClock;
  let url: string;
  beforeEach(async () => {
    clock = new TestClock();
    app = await createShop({ platform, store: new MemoryStore({ clock }), logger: ['error'] });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(() => app.close());

  test('autocannon: exactly 200 of 500 searches pass, as many as the limit allows', async () => {
    const result = await autocannon({ url: `${url}/products/search?q=tea`, amount: 500, connections: 20 });
    expect(result.statusCodeStats).toEqual({ '200': { count: 200 }, '429': { count: 300 } });
    expect([result.errors, result.timeouts, result['5xx']]).toEqual([0, 0, 0]);
  });

  test('got: waits for the time in Retry-After, and then succeeds', async () => {
    const waits: number[] = [];
    const client = got.extend({
      retry: {
        limit: 3,
        statusCodes: [429],
        calculateDelay: ({ computedValue }) => {
          waits.push(computedValue);
          // It need not wait in real time for what the clock of the shop does at once; 0 would be to give up.
          clock.advance(computedValue);
          return Math.min(1, computedValue);
        },
      },
    });
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) statuses.push((await client(`${url}/products/1/stock`)).statusCode);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 200]);
    expect(waits.length).toBeGreaterThanOrEqual(1);
    for (const wait of waits) expect(wait).toBe(1_000);
  });

  // It reads an early draft's RateLimit field, of another form, before anything else: so not that one.
  test('ratelimit-header-parser: reads our X-RateLimit headers', async () => {
    const now = clock.now();
    const response = await fetch(`${url}/products/search?q=tea`);
    const headers = [...response.headers].filter(([name]) => name.startsWith('x-ratelimit'));
    const parsed = parseRateLimit(Object.fromEntries(headers), { reset: 'unix' });
    expect(parsed).toMatchObject({ limit: 200, used: 1, remaining: 199 });
    expect(Math.abs((parsed?.reset?.getTime() ?? 0) - (now + 3_600_000))).toBeLessThan(10_000);
  });
});
