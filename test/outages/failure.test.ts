import { setTimeout as sleep } from 'node:timers/promises';
import type { StoreHealth } from 'nestjs-ratelimit';
import { platforms } from '../support/app.js';
import { type Answered, HttpLoad, mostAdmitted, slowestOf, statusesOf } from '../support/http-load.js';
import { FaultyProxy, type ProxyWay } from '../support/redis/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { nowMs, Servant } from '../support/servant.js';
import { undisturbed } from '../support/undisturbed.js';
import { until } from '../support/until.js';

const LIMIT = 10;
const WINDOW_MS = 2_000;
/** The time budget of a decision, and what may be added to it. */
const IN_TIME_MS = 100 + 50;
const BACK_WITHIN_MS = 2_000;

const PATHS = ['/local', '/open', '/closed'];
/** Each sends three times what a limit admits. */
const CLIENTS = Array.from({ length: 6 }, (_, at) => `198.51.100.${at}`);
const PER_SECOND = (3 * LIMIT * CLIENTS.length * PATHS.length) / (WINDOW_MS / 1_000);

const only = (answers: readonly Answered[], path: string) => answers.filter((answer) => answer.path === path);

/** Something that happens to a server, and what ends it. */
interface Trouble {
  readonly fails: () => unknown;
  readonly mends: () => unknown;
}

interface AppState extends StoreHealth {
  readonly slowestDecisionMs: number;
  readonly events: readonly string[];
  readonly logged: readonly string[];
}

describe.each(platforms)('a server that fails under load on %s', (platform) => {
  let redis: RedisServer;
  let proxy: FaultyProxy;
  let app: Servant;
  let load: HttpLoad;

  beforeAll(async () => {
    redis = await startRedis({ appendOnly: true });
    proxy = await FaultyProxy.start(redis);
    app = await Servant.start('./outage-app.mjs', platform, proxy.url, `${LIMIT}/${WINDOW_MS / 1_000}s`);
    const url = await app.ask<string>('url');
    load = await HttpLoad.start({ url, paths: PATHS, clients: CLIENTS, perSecond: PER_SECOND });
    await sleep(1_000);
  });

  afterAll(async () => {
    await load.stop();
    await app.ask('close');
    app.end();
    proxy.close();
  });

  const state = () => app.ask<AppState>('state');
  const decides = () => until('the store decides', async () => (await state()).status === 'up');
  const measured = (measure: () => Promise<void>) =>
    undisturbed(async () => {
      await decides();
      await measure();
    });

  /** Lets something happen, waits until the store decides again, and tells what clients have seen. */
  async function through(what: string, fails: () => unknown, mends: () => unknown) {
    const sinceMs = nowMs();
    await app.ask('forget');
    const { degraded: degradedBefore } = await state();
    await fails();
    await mends();
    const mendedMs = nowMs();
    await decides();
    const backMs = nowMs() - mendedMs;
    await sleep(WINDOW_MS / 2);
    const seen = await load.since(sinceMs);
    const { degraded, events, slowestDecisionMs } = await state();
    const report = {
      requests: seen.length,
      statuses: statusesOf(seen),
      slowestMs: Math.round(slowestOf(seen)),
      slowestButOneInThousandMs: Math.round(slowestOf(seen, 1)),
      slowestDecisionMs: Math.round(slowestDecisionMs),
      degraded: degraded - degradedBefore,
      admittedLocalInAnyWindow: `${mostAdmitted(only(seen, '/local'), WINDOW_MS)} of ${LIMIT}`,
      backMs: Math.round(backMs),
    };
    console.log(`${platform}: ${what}`, report);
    return { ...report, seen, events };
  }

  type Report = Awaited<ReturnType<typeof through>>;

  const expectInTime = ({ slowestButOneInThousandMs, slowestDecisionMs, backMs }: Report): void => {
    expect(slowestButOneInThousandMs).toBeLessThanOrEqual(IN_TIME_MS);
    expect(slowestDecisionMs).toBeLessThanOrEqual(IN_TIME_MS);
    expect(backMs).toBeLessThanOrEqual(BACK_WITHIN_MS);
  };

  function expectSound(report: Report): void {
    const statusesAt = (path: string) => Object.keys(statusesOf(only(report.seen, path))).sort();
    expect(statusesAt('/local')).toEqual(['200', '429']);
    expect(statusesAt('/open')).toEqual(['200', '429']);
    for (const status of statusesAt('/closed')) expect(['200', '429', '503']).toContain(status);
    expect(mostAdmitted(only(report.seen, '/local'), WINDOW_MS)).toBeLessThanOrEqual(2 * LIMIT);
    expectInTime(report);
  }

  /** A window after the mend no charge of before counts any more, and all limits hold as ever. */
  async function expectEnforced(): Promise<void> {
    const fromMs = nowMs();
    await sleep(WINDOW_MS);
    const seen = await load.since(fromMs);
    expect(Object.keys(statusesOf(seen)).sort()).toEqual(['200', '429']);
    for (const path of PATHS)
      expect(mostAdmitted(only(seen, path), WINDOW_MS)).toBeLessThanOrEqual(LIMIT + 1);
  }

  test('without any trouble nothing is degraded', () =>
    measured(async () => {
      const report = await through(
        'no trouble',
        () => sleep(WINDOW_MS),
        () => undefined,
      );
      expectSound(report);
      expect(report.degraded).toBe(0);
      await expectEnforced();
    }));

  test('A37 A39 killed for three seconds and restarted with its data', () =>
    measured(async () => {
      const report = await through(
        'killed and restarted with its data',
        async () => {
          await redis.kill();
          await sleep(3_000);
        },
        () => redis.start(),
      );
      expectSound(report);
      expect(report.statuses[503]).toBeGreaterThan(0);
      // Open limits let everybody through meanwhile.
      expect(mostAdmitted(only(report.seen, '/open'), WINDOW_MS)).toBeGreaterThan(2 * LIMIT);
      expect(report.events[0]).toBe('open');
      expect(report.events.slice(-2)).toEqual(['closed', 'recovered']);
      expect(report.events.filter((event) => event === 'recovered')).toHaveLength(1);
      await expectEnforced();
    }));

  const behindProxy = (way: ProxyWay): Trouble => ({
    fails: async () => {
      await proxy.become(way);
      await sleep(1.25 * WINDOW_MS);
    },
    mends: () => proxy.become({ delayMs: 0 }),
  });

  test.each<[string, () => Trouble, boolean]>([
    [
      'restarted empty',
      () => ({
        fails: async () => {
          await redis.kill();
          await sleep(1_000);
        },
        mends: async () => {
          await redis.start();
          await redis.cli('FLUSHALL');
        },
      }),
      true,
    ],
    [
      'stopped and resumed',
      () => ({
        fails: async () => {
          redis.pause();
          await sleep(3_000);
        },
        mends: () => redis.resume(),
      }),
      true,
    ],
    ['that accepts and never answers', () => behindProxy('silent'), true],
    ['slower by 50 ms, which is within the budget', () => behindProxy({ delayMs: 50 }), false],
    ['slower by 500 ms, which is not', () => behindProxy({ delayMs: 500 }), true],
    ['whose replies break off in the middle', () => behindProxy('resets'), true],
  ])('A37 %s', (what, trouble, isDegraded) =>
    measured(async () => {
      const { fails, mends } = trouble();
      const report = await through(what, fails, mends);
      expectSound(report);
      expect(report.degraded > 0).toBe(isDegraded);
      await expectEnforced();
    }),
  );

  test('A39 that forgets its scripts, its data and its clients', () =>
    measured(async () => {
      const report = await through(
        'SCRIPT FLUSH, FLUSHALL, CLIENT KILL',
        async () => {
          for (let i = 0; i < 5; i++) {
            await redis.cli('SCRIPT', 'FLUSH');
            await redis.cli('FLUSHALL');
            await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal');
            await sleep(200);
          }
        },
        () => undefined,
      );
      for (const status of Object.keys(report.statuses)) expect(['200', '429', '503']).toContain(status);
      expectInTime(report);
    }));

  test('A37 says so once an outage, not once a request', async () => {
    const { logged } = await state();
    const failures = logged.filter((line) => line.includes('The store fails'));
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.length).toBeLessThan(5);
    expect(logged.filter((line) => line.includes('could not be decided'))).toEqual([]);
  });
});
