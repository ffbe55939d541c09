import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryStore, RateLimit, RateLimitModule } from 'nestjs-ratelimit';
import { platforms, routes, serve, statuses, type TestApp, times } from '../support/app.js';
import { closed } from '../support/closed.js';
import { OwnTime } from '../support/own-time.mjs';
import { until } from '../support/until.js';

const Timed = routes({
  '/five': RateLimit('5/15min'),
  '/ten': RateLimit('10/min'),
  '/short': RateLimit('2/s'),
});

/** Time itself: here nobody turns the clock. */
describe('in real time', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await serve('express', { controllers: [Timed], root: () => RateLimitModule.forRoot() });
  });
  afterAll(() => app.close());

  test('A1 5/15min: five pass, the sixth is denied with a wait of 1 to 900 seconds', async () => {
    const beforeMs = Date.now();
    expect(await statuses(app, 5, '/five')).toEqual(times(5, 200));
    const denied = await app.get('/five');
    const afterMs = Date.now();
    expect(denied.status).toBe(429);
    expect(Number(denied.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(Number(denied.headers.get('retry-after'))).toBeLessThanOrEqual(900);
    const resetMs = Number(denied.headers.get('x-ratelimit-reset')) * 1_000;
    expect(resetMs - beforeMs).toBeGreaterThan(890_000);
    expect(resetMs - afterMs).toBeLessThan(902_000);
  });

  test('A24 exactly 10 of 50 parallel requests at 10/min pass', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => app.get('/ten')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
  });

  test('A30 waiting for the time in Retry-After is enough', async () => {
    let denials = 0;
    while (denials < 2) {
      const beganMs = performance.now();
      expect(await statuses(app, 2, '/short')).toEqual([200, 200]);
      const denied = await app.get('/short');
      // If a busy machine takes a second for three requests, there is room for the third.
      if (performance.now() - beganMs < 1_000) {
        expect([denied.status, denied.headers.get('retry-after')]).toEqual([429, '1']);
        denials++;
      }
      await sleep(1_000);
    }
    expect((await app.get('/short')).status).toBe(200);
  });
});

test('the memory store clears itself in real time', async () => {
  const app = await serve('express', { controllers: [Timed], store: new MemoryStore() });
  const time = new OwnTime();
  await app.get('/short');
  expect(app.store.size).toBe(1);
  await until('it is empty', async () => app.store.size === 0);
  expect(time.stop()).toBeLessThan(2_500);
  await app.close();
});

test.each(platforms)('A42 the process exits by itself after app.close() on %s', async (platform) => {
  const { said, code } = await closed(platform);
  expect(said).toMatch(/^used: 200, with [1-9]\d* buckets\nanswered: 200\nclosed\n$/);
  expect(code).toBe(0);
});
