import { TestClock } from 'nestjs-ratelimit/testing';
import { RateLimitConfigError } from '../../../../lib/core/errors.js';
import { RateLimitStats, type RateLimitStatsOptions } from '../../../../lib/observe/stats/stats.js';
import { ALLOWED, DENIED, outcomeUnder } from '../../../support/outcomes.js';

const START_MS = Date.UTC(2026, 0, 1, 12, 30);
const HOUR_MS = 3_600_000;

function setUp(options: RateLimitStatsOptions = {}) {
  const clock = new TestClock(START_MS);
  const stats = new RateLimitStats({ clock, ...options });
  return { clock, stats, login: 'POST /login', list: 'GET /list' };
}

const NONE = { total: 0, allowed: 0, denied: 0, shadowDenied: 0, degraded: 0 };

describe('a snapshot', () => {
  test('of nothing is all zeros, for a day', async () => {
    const { hours, currentHour, ...lists } = await setUp().stats.snapshot();
    expect(hours.map(({ startMs }) => startMs)).toEqual(
      Array.from({ length: 24 }, (_, at) => Date.UTC(2026, 0, 1, 12) - (23 - at) * HOUR_MS),
    );
    expect(currentHour).toEqual({ startMs: Date.UTC(2026, 0, 1, 12), ...NONE, uniqueClients: 0 });
    expect(hours.at(-1)).toEqual(currentHour);
    expect(lists).toEqual({
      isComplete: true,
      topDeniedClients: [],
      topDeniedRoutes: [],
      byRoute: [],
      byLimit: [],
      byUser: [],
    });
  });

  test('tells what became of requests, by route and by limit', async () => {
    const { stats, login, list } = setUp();
    const both = outcomeUnder([{ name: 'burst' }, { name: 'login', denies: true }]);
    stats.record(login, both, '203.0.113.1', null);
    stats.record(login, outcomeUnder([{ name: 'login' }], true), '203.0.113.1', 'user:42');
    stats.record(
      list,
      outcomeUnder([{ name: 'burst', denies: true, shadow: true }]),
      '203.0.113.2',
      'user:42',
    );
    stats.record(list, outcomeUnder([]), null, null);
    const snapshot = await stats.snapshot({ hours: 1 });
    expect(snapshot.currentHour).toEqual({
      startMs: Date.UTC(2026, 0, 1, 12),
      ...{ total: 4, allowed: 3, denied: 1, shadowDenied: 1, degraded: 1, uniqueClients: 2 },
    });
    expect(snapshot.byRoute).toEqual([
      { route: 'GET /list', total: 2, allowed: 2, denied: 0, shadowDenied: 1, degraded: 0 },
      { route: 'POST /login', total: 2, allowed: 1, denied: 1, shadowDenied: 0, degraded: 1 },
    ]);
    expect(snapshot.byLimit).toEqual([
      { limit: 'burst', scope: 'test', total: 2, allowed: 2, denied: 0, shadowDenied: 1, degraded: 0 },
      { limit: 'login', scope: 'test', total: 2, allowed: 1, denied: 1, shadowDenied: 0, degraded: 1 },
    ]);
    expect(snapshot.topDeniedClients).toEqual([{ identity: 'ip:203.0.113.1', denied: 1 }]);
    expect(snapshot.topDeniedRoutes).toEqual([{ route: 'POST /login', denied: 1 }]);
    expect(snapshot.byUser).toEqual([{ user: 'user:42', total: 2, denied: 0 }]);
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
  });

  test('has as many entries in its lists as it is asked for, the highest first', async () => {
    const { stats, list } = setUp();
    for (let client = 1; client <= 30; client++) {
      for (let i = 0; i < client; i++) stats.record(list, DENIED, `203.0.113.${client}`, `user:u${client}`);
    }
    const { topDeniedClients, byUser } = await stats.snapshot({ top: 3 });
    expect(topDeniedClients).toEqual([
      { identity: 'ip:203.0.113.30', denied: 30 },
      { identity: 'ip:203.0.113.29', denied: 29 },
      { identity: 'ip:203.0.113.28', denied: 28 },
    ]);
    expect(byUser.map(({ user, denied }) => [user, denied])).toEqual([
      ['user:u30', 30],
      ['user:u29', 29],
      ['user:u28', 28],
    ]);
    expect((await stats.snapshot()).topDeniedClients).toHaveLength(10);
  });
});

describe('hours', () => {
  test('begin with the full hour, and are put together', async () => {
    const { clock, stats, list } = setUp();
    stats.record(list, DENIED, '203.0.113.1', null);
    clock.advance('30min');
    stats.record(list, DENIED, '203.0.113.1', null);
    stats.record(list, ALLOWED, '203.0.113.2', null);
    const { hours, currentHour, topDeniedClients } = await stats.snapshot({ hours: 3 });
    expect(hours.map(({ total, denied, uniqueClients }) => [total, denied, uniqueClients])).toEqual([
      [0, 0, 0],
      [1, 1, 1],
      [2, 1, 2],
    ]);
    expect(currentHour.startMs).toBe(Date.UTC(2026, 0, 1, 13));
    expect(topDeniedClients).toEqual([{ identity: 'ip:203.0.113.1', denied: 2 }]);
  });

  test('are kept for as long as is said, 7 days by default', async () => {
    for (const [options, keepHours] of [
      [{}, 168],
      [{ keepHours: 2 }, 2],
    ] as const) {
      const { clock, stats, list } = setUp(options);
      stats.record(list, ALLOWED, null, null);
      clock.advance((keepHours - 1) * HOUR_MS);
      stats.record(list, ALLOWED, null, null);
      const hours = async () => (await stats.snapshot({ hours: keepHours })).hours.map(({ total }) => total);
      expect((await hours()).filter((total) => total > 0)).toEqual([1, 1]);
      clock.advance('1h');
      stats.record(list, ALLOWED, null, null);
      expect((await hours()).filter((total) => total > 0)).toEqual([1, 1]);
      await expect(stats.snapshot({ hours: keepHours + 1 })).rejects.toThrow(RateLimitConfigError);
    }
  });

  test('are counted on when the clock steps back', async () => {
    const { clock, stats, list } = setUp();
    stats.record(list, ALLOWED, '203.0.113.1', null);
    clock.advance('1h');
    stats.record(list, ALLOWED, '203.0.113.1', null);
    clock.set(START_MS);
    stats.record(list, ALLOWED, '203.0.113.1', null);
    expect((await stats.snapshot()).currentHour).toMatchObject({ total: 2, uniqueClients: 1 });
  });
});

describe('bounds', () => {
  test.each([
    [{ hours: 0 }, 'RateLimitStats.snapshot: hours cannot be 0. Give a whole number from 1 to 168.'],
    [{ top: 101 }, 'RateLimitStats.snapshot: top cannot be 101. Give a whole number from 1 to 100.'],
  ])('a snapshot of %j is refused', async (options, message) => {
    await expect(setUp().stats.snapshot(options)).rejects.toThrow(message);
  });

  test('after 5,000 names everything else is one row', async () => {
    const { stats } = setUp();
    for (let i = 0; i < 6_000; i++) {
      const outcome = outcomeUnder([{ name: `limit-${i}` }]);
      stats.record(`route-${i}`, outcome, null, null);
    }
    const { byRoute, byLimit, currentHour } = await stats.snapshot();
    expect(currentHour.total).toBe(6_000);
    expect([byRoute.length, byRoute[0]]).toMatchObject([5_001, { route: 'other', total: 1_000 }]);
    expect([byLimit.length, byLimit[0]]).toMatchObject([5_001, { limit: 'other', scope: '', total: 1_000 }]);
  });

  test('a limit whose windows are made up is one row', async () => {
    const { stats, list } = setUp();
    for (let windowMs = 1; windowMs <= 12_000; windowMs++) {
      stats.record(list, outcomeUnder([{ windowMs }]), null, null);
    }
    expect((await stats.snapshot()).byLimit).toMatchObject([{ limit: 'limit', total: 12_000 }]);
  });

  test('a million clients and users of junk keep memory flat, and hide nobody who is denied a lot', async () => {
    const { clock, stats, list } = setUp();
    const heapBytes = () => {
      (globalThis as { gc?: () => void }).gc?.();
      return process.memoryUsage().heapUsed;
    };
    const junk = (from: number, to: number) => {
      for (let at = from; at < to; at++) {
        stats.record(list, DENIED, `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, `user:stranger-${at}`);
        if (at % 100 === 0) stats.record(list, DENIED, '203.0.113.1', 'user:regular');
        if (at % 250_000 === 0) clock.advance('1h');
      }
    };
    junk(0, 20_000);
    await stats.snapshot();
    const before = heapBytes();
    junk(20_000, 1_000_000);
    const { topDeniedClients, byUser, currentHour } = await stats.snapshot();
    expect(heapBytes() - before).toBeLessThan(3_000_000);
    expect(topDeniedClients[0]?.identity).toBe('ip:203.0.113.1');
    expect(topDeniedClients[0]?.denied).toBeGreaterThan(9_500);
    expect(topDeniedClients[0]?.denied).toBeLessThanOrEqual(10_000);
    expect(byUser[0]?.user).toBe('user:regular');
    expect(Math.abs(currentHour.uniqueClients / 250_001 - 1)).toBeLessThan(3 * 0.0081);
  });

  test.each([
    [{ keepHours: 745 }, 'RateLimitStats: keepHours cannot be 745. Give a whole number from 1 to 744.'],
    [{ keepDays: 7 } as object, 'RateLimitStats: Unknown option "keepDays". The options are keepHours,'],
  ])('options %j are an error', (options, message) => {
    expect(() => new RateLimitStats(options)).toThrow(message);
  });
});
