import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { RateLimitStats } from '../../lib/observe/stats/stats.js';
import { emptyHour, emptyTally } from '../../lib/store/shared-counters.js';
import { chargeOf } from '../support/charges.js';
import { turn } from '../support/held-store.js';
import { ALLOWED, DENIED, outcomeUnder } from '../support/outcomes.js';
import { OwnTime } from '../support/own-time.mjs';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { type RedisCluster, type RedisServer, startCluster, startRedis } from '../support/redis.js';
import { Servant } from '../support/servant.js';
import { until } from '../support/until.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis({ appendOnly: true });
});

const stores = new Set<RedisStore>();
const counting = new Set<RateLimitStats>();
afterEach(async () => {
  redis.resume();
  if (!redis.running) await redis.start();
  await Promise.all([...counting].map((stats) => stats.close()));
  for (const store of stores) store.close();
  counting.clear();
  stores.clear();
});

let prefixes = 0;
const unused = (): string => `statistics-${prefixes++}`;

interface ProcessOptions {
  readonly prefix?: string;
  readonly store?: RedisStore;
  readonly keepHours?: number;
  /** Default: the time of this process. */
  readonly clock?: TestClock;
}

/** A process of a fleet: a store of its own, and what it reports. */
async function startProcess({ prefix = unused(), store, keepHours, clock }: ProcessOptions = {}) {
  const own = store ?? new RedisStore({ url: redis.url, prefix });
  await own.open();
  const reports: string[] = [];
  const report = (source: string, message: string) => void reports.push(`${source}: ${message}`);
  const stats = new RateLimitStats({ shared: own.counters, report, keepHours, clock });
  counting.add(stats);
  stores.add(own);
  const route = 'GET /';
  const record = (count: number, first = 0) => {
    for (let at = first; at < first + count; at++) {
      stats.record(
        route,
        at % 4 ? ALLOWED : DENIED,
        `10.0.${(at >> 8) & 255}.${at & 255}`,
        `user:u${at % 3}`,
      );
    }
  };
  /** What it reads of all, once so many requests are in it. */
  const sees = (total: number) =>
    until(`${total} requests are seen`, async () => {
      // Processes write when a second has passed.
      clock?.advance('1s');
      const snapshot = await stats.snapshot({ hours: 2 });
      const sum = snapshot.hours.reduce((all, hour) => all + hour.total, 0);
      return snapshot.isComplete && sum === total && snapshot;
    });
  return { stats, store: own, prefix, reports, record, sees };
}

const AWAY = 'statistics: The store takes no counts. They are kept and written later.';

/** How often a server was asked to run a script, whether it was sent along or not. */
async function scriptCalls(server: RedisServer): Promise<number> {
  const calls = (await server.cli('INFO', 'commandstats')).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g);
  return [...calls].reduce((sum, [, count]) => sum + Number(count), 0);
}

test('two processes add up exactly, and each sees what the other has counted', async () => {
  const clock = new TestClock();
  const a = await startProcess({ clock });
  const b = await startProcess({ prefix: a.prefix, clock });
  a.record(1_000);
  b.record(500, 600);
  const other = 'POST /login\u00e9 {x}:y';
  const shadow = outcomeUnder([{ name: 'login', denies: true, shadow: true }, { name: 'burst' }], true);
  for (let i = 0; i < 7; i++) b.stats.record(other, shadow, '10.9.9.9', null);
  const seenByA = await a.sees(1_507);
  const seenByB = await b.sees(1_507);
  expect(seenByA).toEqual(seenByB);
  expect(seenByA.byRoute).toEqual([
    { route: 'GET /', total: 1_500, allowed: 1_125, denied: 375, shadowDenied: 0, degraded: 0 },
    { route: 'POST /login\u00e9 {x}:y', total: 7, allowed: 7, denied: 0, shadowDenied: 7, degraded: 7 },
  ]);
  expect(seenByA.byLimit).toEqual([
    {
      limit: 'limit',
      scope: 'test',
      total: 1_500,
      allowed: 1_125,
      denied: 375,
      shadowDenied: 0,
      degraded: 0,
    },
    { limit: 'burst', scope: 'test', total: 7, allowed: 7, denied: 0, shadowDenied: 0, degraded: 7 },
    { limit: 'login', scope: 'test', total: 7, allowed: 7, denied: 0, shadowDenied: 7, degraded: 7 },
  ]);
  // 1,100 addresses and one, of which 400 were seen by both.
  expect(Math.abs(seenByA.currentHour.uniqueClients / 1_101 - 1)).toBeLessThan(3 * 0.0081);
  expect(seenByA.byUser.map(({ total }) => total).reduce((sum, total) => sum + total)).toBe(1_500);
  expect(seenByA.byUser.map(({ denied }) => denied).reduce((sum, denied) => sum + denied)).toBe(375);
  expect(seenByA.topDeniedRoutes).toEqual([{ route: 'GET /', denied: 375 }]);
  // Denied by both: 600, 604 and so on.
  expect(seenByA.topDeniedClients.every(({ denied }) => denied === 2)).toBe(true);
});

test('a fleet counts unique clients as one PFADD of all of them would, however often a write is repeated', async () => {
  const clock = new TestClock();
  const a = await startProcess({ clock });
  const b = await startProcess({ prefix: a.prefix, clock });
  const { counters } = a.store;
  /** Writes each batch of a process twice, as if the reply to the first had been lost. */
  for (const { store } of [a, b]) {
    const add = store.counters.add.bind(store.counters);
    store.counters.add = async (batch, keepMs) => {
      await add(batch, keepMs);
      await add(batch, keepMs);
    };
  }
  const addresses = (count: number, first: number) =>
    Array.from({ length: count }, (_, at) => `10.0.${((first + at) >> 8) & 255}.${(first + at) & 255}`);
  // Junk raises fewer and fewer registers, so later writes are short.
  for (let round = 0; round < 4; round++) {
    a.record(5_000, round * 5_000);
    b.record(5_000, round * 5_000 + 2_500);
    await a.sees((round + 1) * 10_000);
  }
  const hour = Math.floor(clock.now() / 3_600_000);
  const reference = `${a.prefix}:reference`;
  const all = addresses(22_500, 0);
  for (let at = 0; at < all.length; at += 1_000) {
    await redis.cli('PFADD', reference, ...all.slice(at, at + 1_000));
  }
  const expected = Number(await redis.cli('PFCOUNT', reference));
  await redis.cli('DEL', reference);
  expect(Math.abs(expected / 22_500 - 1)).toBeLessThan(3 * 0.0081);
  for (const one of [a, b]) expect((await one.sees(40_000)).currentHour.uniqueClients).toBe(expected);
  expect((await counters.read(hour, 'nobody')).uniqueClients).toBe(expected);
});

test('a process by itself estimates unique clients as Redis does', async () => {
  const stats = new RateLimitStats();
  const addresses = ['203.0.113.7', '2001:db8::/64', '1.1.1.1', '12345678', '1234567', '123456789', '::/64'];
  for (let at = 0; at < 3_000; at++)
    addresses.push(`2001:db8:${at.toString(16)}:${(at * 7).toString(16)}::/64`);
  for (const address of addresses) stats.record('GET /', ALLOWED, address, null);
  await redis.cli('PFADD', 'reference', ...addresses);
  expect((await stats.snapshot()).currentHour.uniqueClients).toBe(
    Number(await redis.cli('PFCOUNT', 'reference')),
  );
  await redis.cli('DEL', 'reference');
});

test('what was counted is there for a process that starts later', async () => {
  const first = await startProcess();
  first.record(100);
  await first.stats.close();
  const second = await startProcess({ prefix: first.prefix });
  const { currentHour } = await second.sees(100);
  expect(currentHour.uniqueClients).toBeGreaterThan(95);
});

test('every key ends with the hours that are kept', async () => {
  const { stats, prefix, record, sees } = await startProcess({ keepHours: 3 });
  record(100);
  await sees(100);
  await stats.close();
  expect(await keysWithoutExpiry(redis)).toEqual([]);
  const keys = (await redis.cli('KEYS', `${prefix}:*`)).split('\n').sort();
  const [key = ''] = keys;
  expect(keys.map((one) => one.split(':').at(-1))).toEqual([
    'clients',
    'counts',
    'denials',
    'denied',
    'users',
  ]);
  expect(key).toMatch(new RegExp(`^${prefix}:\\{stats~\\}:\\d+:clients$`));
  const ttlMs = Number(await redis.cli('PTTL', key));
  expect(ttlMs).toBeGreaterThan(3 * 3_600_000 - 60_000);
  expect(ttlMs).toBeLessThanOrEqual(3 * 3_600_000);
});

test('it writes once a second at most, in one command, and not at all when nothing comes', async () => {
  const clock = new TestClock();
  const { record } = await startProcess({ clock });
  const before = await scriptCalls(redis);
  const calls = async () => (await scriptCalls(redis)) - before;
  for (let ms = 0; ms < 2_500; ms += 25) {
    record(50, 2 * ms);
    clock.advance(25);
    // What is to be written is.
    if (clock.now() % 1_000 === 0) {
      const due = Math.floor((ms + 25) / 1_000);
      await until('a second has been written', async () => (await calls()) >= due);
    }
  }
  expect(await calls()).toBe(2);
  clock.advance(1_200);
  await until('the rest has been written', async () => (await calls()) >= 3);
  for (let i = 0; i < 3; i++) {
    clock.advance(1_200);
    await turn();
    expect(await calls()).toBe(3);
  }
});

test('a million clients of junk keep this process and the server bounded', async () => {
  const { prefix, sees } = await startProcess();
  const junk = await Servant.start('./redis/junk.mjs', redis.url, prefix);
  await junk.ask('count');
  const { topDeniedClients, byUser, hours } = await sees(1_020_000);
  const uniqueClients = Math.max(...hours.map((hour) => hour.uniqueClients));
  expect(await junk.ask('grownBytes')).toBeLessThan(5_000_000);
  junk.end();
  expect(topDeniedClients[0]?.identity).toBe('ip:203.0.113.1');
  expect(topDeniedClients[0]?.denied).toBeGreaterThan(19_000);
  expect(topDeniedClients[0]?.denied).toBeLessThanOrEqual(20_000);
  expect(byUser[0]?.user).toBe('user:regular');
  expect(Math.abs(uniqueClients / 1_000_001 - 1)).toBeLessThan(3 * 0.0081);
  let bytes = 0;
  for (const key of (await redis.cli('KEYS', `${prefix}:*`)).split('\n')) {
    bytes += Number(await redis.cli('MEMORY', 'USAGE', key));
  }
  expect(bytes).toBeLessThan(300_000);
});

test('the permissions that the docs name are enough, for decisions too', async () => {
  const docs = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8');
  const [, rules = ''] = /redis-cli (ACL SETUSER limits on '>password'[^`]*)/.exec(docs) ?? [];
  await redis.cli(...rules.replace(/[\\']/g, '').trim().split(/\s+/));
  const store = new RedisStore({ url: redis.url, username: 'limits', password: 'password' });
  const { record, sees, reports } = await startProcess({ store });
  record(10);
  expect((await sees(10)).currentHour.uniqueClients).toBe(10);
  expect(reports).toEqual([]);
  const charge = chargeOf({ identity: 'user:1', limit: 1, windowMs: 60_000, blockMs: 60_000 });
  const { decisions } = await store.consume([charge]);
  await store.refund(decisions);
  await store.consume([charge]);
  expect((await store.consume([charge])).decisions[0]?.startsBlock).toBe(true);
  await store.block('user:1', 60_000);
  await store.unblock('user:1');
  await store.reset({ identity: 'user:1' });
  expect((await store.peek([charge])).decisions[0]?.remaining).toBe(1);
});

test('a server whose ACL is of an earlier version takes everything once it allows PFADD', async () => {
  const { prefix, reports, record, sees } = await startProcess();
  await redis.cli('ACL', 'SETUSER', 'default', '-pfadd');
  record(10);
  await until('the failure is reported', async () => reports.length > 0);
  expect(await redis.cli('KEYS', `${prefix}:*`)).toBe('');
  await redis.cli('ACL', 'SETUSER', 'default', '+pfadd');
  record(5, 10);
  expect((await sees(15)).currentHour.uniqueClients).toBe(15);
  expect(reports).toEqual([AWAY]);
});

describe('a server that is gone', () => {
  test('is told what was counted meanwhile when it is back, and its absence is reported once', async () => {
    const clock = new TestClock();
    const { stats, prefix, reports, record, sees } = await startProcess({ clock });
    record(100);
    await sees(100);
    await until('the counts are written', async () => (await redis.cli('KEYS', `${prefix}:*`)) !== '');
    await redis.kill();
    record(50, 100);
    await until('the outage is reported', async () => {
      clock.advance('1s');
      return reports.length > 0;
    });
    record(25, 150);
    const away = await stats.snapshot({ hours: 2 });
    expect(away.isComplete).toBe(false);
    expect(away.byRoute).toMatchObject([{ total: 175 }]);
    await redis.start();
    await sees(175);
    expect(reports).toEqual([AWAY]);
  });

  test('that has gone silent keeps nobody waiting for longer than a second', async () => {
    const { stats, record, sees } = await startProcess();
    record(10);
    await sees(10);
    redis.pause();
    const time = new OwnTime();
    record(10);
    expect(time.now()).toBeLessThan(100);
    expect(await stats.snapshot()).toMatchObject({ isComplete: false });
    expect(time.stop()).toBeLessThan(1_500);
    redis.resume();
    await sees(20);
  });

  test('loses the rest at the end, and says how much', async () => {
    const { stats, reports, record } = await startProcess();
    await redis.kill();
    record(10);
    await stats.close();
    expect(reports.at(-1)).toBe(
      'statistics: The counts of 10 requests are lost, since the store did not take them before the process ended.',
    );
  });

  test('and answers again counts a write once, though its answer was lost', async () => {
    const { counters } = (await startProcess()).store;
    const counts = emptyHour(500_000);
    counts.routes.set('GET /', { allowed: 3, denied: 1, shadowDenied: 0, degraded: 0 });
    counts.users.set('user:1', { ...emptyTally(), allowed: 2 });
    const batch = { writer: 'one', sequence: 1, counts, clients: ['203.0.113.7', '203.0.113.8'] };
    await counters.add(batch, 60_000);
    await counters.add(batch, 60_000);
    await counters.add({ ...batch, writer: 'two' }, 60_000);
    const read = await counters.read(500_000, 'one');
    expect(read.applied).toBe(1);
    expect(read.counts.routes.get('GET /')).toEqual({ allowed: 6, denied: 2, shadowDenied: 0, degraded: 0 });
    expect(read.uniqueClients).toBe(2);
    expect(read.counts.users.get('user:1')).toEqual({ ...emptyTally(), allowed: 4 });
    expect((await counters.read(500_000, 'three')).applied).toBe(0);
  });
});

describe('a Cluster', () => {
  const settings = { retryDelayOnFailover: 0, redisOptions: { socketTimeout: 1_000 } };
  let nodes: RedisCluster;
  beforeAll(async () => {
    nodes = await startCluster({ replicasPerMaster: 0 });
  });

  test.each([undefined, 'one-slot'] as const)(
    'keeps an hour in one slot, also with cluster: %s',
    async (cluster) => {
      const connect = () =>
        new Cluster(
          nodes.nodes.map(({ host, port }) => ({ host, port })),
          settings,
        );
      const clients = [connect(), connect()];
      const [prefix, clock] = [unused(), new TestClock()];
      const [a, b] = await Promise.all(
        clients.map((client) => startProcess({ store: new RedisStore(client, { prefix, cluster }), clock })),
      );
      a?.record(100);
      b?.record(50);
      const snapshot = await a?.sees(150);
      expect(snapshot?.byRoute).toMatchObject([{ route: 'GET /', total: 150 }]);
      await a?.stats.close();
      await b?.stats.close();
      expect(await b?.sees(150)).toEqual(await a?.sees(150));
      for (const client of clients) client.disconnect();
    },
  );
});
