import { definePolicy } from '../../lib/core/policy.js';
import { parseRate } from '../../lib/core/rate.js';
import { type Admission, keepsBound } from '../support/bounds.js';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { runFleet } from '../support/redis/fleet.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

// So low that they bind also where a busy machine takes a minute for all decisions.
const scopes = {
  sliding: { rate: { limit: 100, window: '1s' } },
  fixed: { rate: { limit: 100, window: '1s' }, algorithm: 'fixed-window' },
  bucket: { rate: { limit: 100, window: '1s' }, algorithm: 'token-bucket', burst: 200 },
} as const;

test('A27 200,000 decisions of four processes keep the bound of each algorithm, by the times of the store', async () => {
  const reports = await runFleet(4, {
    url: redis.url,
    prefix: 'fleet',
    scopes,
    identities: 20,
    decisions: 50_000,
    atOnce: 64,
    costs: [1, 2, 3],
  });
  const timelines = new Map<string, Admission[]>();
  let denied = 0;
  for (const report of reports) {
    denied += report.denied;
    for (const [scope, identity, atMs, cost] of report.admitted) {
      const name = `${scope} ${identity}`;
      const admissions = timelines.get(name) ?? [];
      admissions.push({ atMs, cost });
      timelines.set(name, admissions);
    }
  }
  const admitted = reports.reduce((sum, report) => sum + report.admitted.length, 0);
  expect(admitted + denied).toBe(200_000);
  // Both happen often, so that limits are what is tested, and not only that nothing passes.
  expect(Math.min(admitted, denied)).toBeGreaterThan(5_000);
  expect(timelines.size).toBe(60);
  for (const [name, admissions] of timelines) {
    const { rate, ...others } = scopes[name.split(' ')[0] as keyof typeof scopes];
    const policy = definePolicy({ name, scope: 'fleet', rate: parseRate(rate) as never, ...others });
    admissions.sort((a, b) => a.atMs - b.atMs);
    expect([name, keepsBound(admissions, policy)]).toEqual([name, true]);
  }
  expect(await keysWithoutExpiry(redis)).toEqual([]);
});

test('A24 of 50 parallel decisions of two processes at 10/min, exactly 10 pass', async () => {
  const reports = await runFleet(2, {
    url: redis.url,
    prefix: 'two',
    scopes: { one: '10/min' },
    identities: 1,
    decisions: 25,
    atOnce: 25,
    costs: [1],
  });
  expect(reports.flatMap(({ admitted }) => admitted)).toHaveLength(10);
});
