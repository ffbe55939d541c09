import { Redis } from 'ioredis';
import { RedisStore, type RedisStoreOptions } from 'nestjs-ratelimit/redis';
import { chargeOf } from '../support/charges.js';
import { busy, Load } from '../support/load.js';
import { OwnTime } from '../support/own-time.mjs';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { within } from '../support/redis/within.js';
import { type RedisServer, type SentinelSet, startSentinelSet } from '../support/redis.js';
import { until } from '../support/until.js';

let set: SentinelSet;
beforeAll(async () => {
  set = await startSentinelSet();
});

const stores = new Set<RedisStore>();
afterEach(() => {
  for (const store of stores) store.close();
  stores.clear();
});

let prefixes = 0;
function storeOf(options: RedisStoreOptions = {}): RedisStore {
  const sentinels = set.sentinels.map(({ host, port }) => ({ host, port }));
  const store = new RedisStore({ sentinels, name: set.name, prefix: `sentinel-${prefixes++}`, ...options });
  stores.add(store);
  return store;
}

const full = [chargeOf({ limit: 5 })];

/** Charges a limit in full, and waits until the replica of the master knows. */
async function fill(prefix: string): Promise<void> {
  const store = storeOf({ prefix });
  for (let i = 0; i < 5; i++) await store.consume(full);
  const { host, port } = await set.master();
  const client = new Redis(port, host);
  await client.set('last', 1, 'PX', 60_000);
  const replicas = await client.wait(1, 5_000);
  client.disconnect();
  expect(replicas).toBe(1);
}

const isDenied = async (prefix: string): Promise<boolean> =>
  (await storeOf({ prefix }).consume(full)).decisions.every(({ allowed }) => !allowed);

/** Waits until a former master follows the present one, and may succeed it; sentinels take their time to tell it. */
async function follows(former: RedisServer): Promise<void> {
  const { host, port } = await set.master();
  await former.cli('REPLICAOF', host, port);
  await until('the former master follows', async () => {
    const replication = await former.cli('INFO', 'replication').catch(() => '');
    return replication.includes('role:slave') && replication.includes('master_link_status:up');
  });
  await set.ready();
}

/** How many scripts a server has run. */
async function calls(server: RedisServer): Promise<number> {
  const stats = await server.cli('INFO', 'commandstats');
  const counts = [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].map(([, count]) => Number(count));
  return counts.reduce((sum, count) => sum + count, 0);
}

describe('a store that asks sentinels for its master', () => {
  test('A39 goes on with the next master when its own is killed, with what that has been told', async () => {
    await fill('killed');
    const former = await set.master();
    const load = new Load(storeOf(), () => busy('user:1'));
    await load.more(100);
    await set.failover();
    const before = load.decided.length;
    const time = new OwnTime();
    await load.more(100);
    expect(time.stop()).toBeLessThan(5_000);
    await load.stop();
    expect(load.errors.length).toBeGreaterThan(0);
    expect(load.overLimit(before)).toEqual([]);
    expect(await isDenied('killed')).toBe(true);
    await former.start();
    await follows(former);
  });

  test('A39 goes on with the next master when its own answers no more', async () => {
    await fill('silent');
    const former = await set.master();
    const load = new Load(storeOf(), () => busy('user:1'));
    await load.more(100);
    former.pause();
    await set.masterAfter(former);
    const before = load.decided.length;
    await load.more(100);
    await load.stop();
    expect(load.errors.length).toBeGreaterThan(0);
    expect(load.overLimit(before)).toEqual([]);
    expect(await isDenied('silent')).toBe(true);
    former.resume();
    await follows(former);
  });

  test('A39 leaves a master that has become a replica', async () => {
    await fill('demoted');
    const former = await set.master();
    const next = set.servers.find((server) => server !== former) as RedisServer;
    const load = new Load(storeOf(), () => busy('user:1'));
    await load.more(100);
    const before = await calls(next);
    await set.sentinels[0]?.cli('SENTINEL', 'FAILOVER', set.name);
    await set.masterAfter(former);
    await follows(former);
    await within(5_000, 'the next master decides', async () => (await calls(next)) > before);
    const moved = load.decided.length;
    await load.more(100);
    await load.stop();
    expect(load.errors[0]?.message).toMatch(/^READONLY /);
    expect(load.overLimit(moved)).toEqual([]);
    expect(await isDenied('demoted')).toBe(true);
  });

  test('no key is left that would stay for ever', async () => {
    expect(await keysWithoutExpiry(await set.master())).toEqual([]);
  });
});
