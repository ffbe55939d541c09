import { type Store } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { RateLimiter } from '../../../lib/limiter/rate-limiter.js';
import { byLoad } from '../../../lib/plan/load.js';
import { MemoryStore } from '../../../lib/store/memory/memory-store.js';
import { type RedisServer, startRedis } from '../../support/redis.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
let runs = 0;

const scopes = {
  sliding: '5/min',
  fixed: { rate: '5/min', algorithm: 'fixed-window' },
  bucket: { rate: '60/min', algorithm: 'token-bucket', burst: 10 },
  several: ['2/min', { name: 'day', rate: '10/day' }],
  plan: { free: '2/min', pro: '5/min', vip: null, default: '1/min' },
  dynamic: () => '3/min' as const,
  load: byLoad({ normal: '9/min', elevated: '3/min', critical: '1/min' }, () => 'elevated'),
  blocking: { rate: '1/min', block: '15min' },
  free: null,
  never: '0/min',
} as const;

describe.each(['memory', 'Redis'] as const)('status over %s', (kind) => {
  let clock: TestClock;
  let store: Store;
  let limiter: RateLimiter<keyof typeof scopes>;
  beforeEach(() => {
    clock = new TestClock(Date.now());
    store =
      kind === 'memory'
        ? new MemoryStore({ clock })
        : new RedisStore({ url: redis.url, prefix: `status-${runs++}`, clock });
    // So long that a busy machine is not taken for an outage.
    limiter = new RateLimiter({ scopes, store, timeoutMs: 60_000 });
  });
  afterEach(async () => store.close?.());
  const identity = 'user:42';

  test('all limits of an identity except unlimited scopes and functions', async () => {
    const statuses = await limiter.status({ identity });
    expect(statuses.map(({ scope, name, limit, remaining }) => [scope, name, limit, remaining])).toEqual([
      ['sliding', 'sliding', 5, 5],
      ['fixed', 'fixed', 5, 5],
      ['bucket', 'bucket', 10, 10],
      ['several', 'several', 2, 2],
      ['several', 'day', 10, 10],
      ['plan', 'plan', 1, 1],
      ['load', 'load', 3, 3],
      ['blocking', 'blocking', 1, 1],
      ['never', 'never', 0, 0],
    ]);
    expect(new Set(statuses.map(({ nextUnitMs }) => nextUnitMs))).toEqual(new Set([null]));
  });

  test('one scope, with a given tier and rate', async () => {
    const of = async (target: object) =>
      (await limiter.status({ identity, ...target })).map(({ name, limit }) => `${name} ${limit}`);
    expect(await of({ scope: 'several' })).toEqual(['several 2', 'day 10']);
    expect(await of({ scope: 'plan', tier: 'pro' })).toEqual(['plan 5']);
    expect(await of({ scope: 'plan', tier: 'vip' })).toEqual([]);
    expect(await of({ scope: 'dynamic' })).toEqual([]);
    expect(await of({ scope: 'dynamic', rate: '7/min' })).toEqual(['dynamic 7']);
    expect(await of({ rate: '7/min' })).toContain('dynamic 7');
    await expect(limiter.status({ identity, scope: 'slidng' as 'sliding' })).rejects.toThrow(
      '[unknown-scope]',
    );
    await expect(limiter.status({ identity: '' })).rejects.toThrow('[bad-key]');
  });

  test.each(['sliding', 'fixed', 'bucket'] as const)(
    '%s: one more unit is available after nextUnitMs, and not before',
    async (scope) => {
      const now = async () => (await limiter.status({ identity, scope }))[0];
      for (const cost of [2, 1, 1]) {
        await limiter.consume({ scope, identity, cost });
        clock.advance(scope === 'bucket' ? 100 : 5_000);
      }
      for (let i = 0; i < 3; i++) {
        const status = await now();
        if (status?.nextUnitMs === null || status === undefined) {
          expect(i).toBeGreaterThan(0);
          return;
        }
        clock.advance(status.nextUnitMs - 1);
        expect((await now())?.remaining).toBe(status.remaining);
        clock.advance(1);
        expect((await now())?.remaining).toBeGreaterThan(status.remaining);
      }
    },
  );

  test('a denied identity has both waits and its block', async () => {
    await limiter.consume({ scope: 'sliding', identity, cost: 5 });
    const [full] = await limiter.status({ identity, scope: 'sliding' });
    expect(full).toEqual({
      scope: 'sliding',
      name: 'sliding',
      limit: 5,
      remaining: 0,
      resetAfterMs: 60_000,
      retryAfterMs: 60_000,
      nextUnitMs: 60_000,
      blockedForMs: 0,
    });
    const [never] = await limiter.status({ identity, scope: 'never' });
    expect([never?.remaining, never?.retryAfterMs, never?.nextUnitMs]).toEqual([0, null, null]);
    await limiter.consume({ scope: 'blocking', identity });
    await limiter.consume({ scope: 'blocking', identity });
    const [blocked] = await limiter.status({ identity, scope: 'blocking' });
    expect(blocked).toMatchObject({
      remaining: 0,
      retryAfterMs: 900_000,
      nextUnitMs: 900_000,
      blockedForMs: 900_000,
    });
  });

  test('charges nothing and starts no block', async () => {
    await limiter.consume({ scope: 'blocking', identity });
    const before = await limiter.status({ identity });
    for (let i = 0; i < 5; i++) expect(await limiter.status({ identity })).toEqual(before);
    clock.advance('1min');
    expect((await limiter.consume({ scope: 'blocking', identity })).allowed).toBe(true);
    expect((await limiter.consume({ scope: 'several', identity, cost: 2 })).allowed).toBe(true);
  });
});
