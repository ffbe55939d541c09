import { Cluster } from 'ioredis';
import type { Decision } from 'nestjs-ratelimit';
import { RedisStore, type RedisStoreSettings } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { type ChargeOptions, chargeOf } from '../support/charges.js';
import { busy, Load } from '../support/load.js';
import { OwnTime } from '../support/own-time.mjs';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { within } from '../support/redis/within.js';
import { type RedisCluster, type RedisServer, startCluster } from '../support/redis.js';
import { until } from '../support/until.js';

let cluster: RedisCluster;
/** An identity on each of the masters. */
let a: string;
let b: string;
let c: string;

beforeAll(async () => {
  // Otherwise all slots stop when one has no master.
  cluster = await startCluster({ config: ['cluster-require-full-coverage no'] });
  const found = new Map<RedisServer, string>();
  for (let i = 0; found.size < 3; i++) {
    const owner = await cluster.ownerOf(`user:${i}`);
    if (!found.has(owner)) found.set(owner, `user:${i}`);
  }
  [a, b, c] = [...found.values()] as [string, string, string];
});

const clients = new Set<Cluster>();
afterEach(() => {
  for (const client of clients) client.disconnect();
  clients.clear();
});

/** A client that sends a decision once, and leaves a node that has been silent for a second. */
function connect(): Cluster {
  const client = new Cluster(
    cluster.nodes.map(({ host, port }) => ({ host, port })),
    { retryDelayOnFailover: 0, redisOptions: { socketTimeout: 1_000 } },
  );
  clients.add(client);
  return client;
}

let prefixes = 0;
const unused = (): string => `cluster-${prefixes++}`;

/** A store of an own client, with keys that nobody else has. */
const storeOf = (settings: RedisStoreSettings = {}): RedisStore =>
  new RedisStore(connect(), { prefix: unused(), ...settings });

const decide = async (store: RedisStore, ...asked: readonly ChargeOptions[]): Promise<readonly Decision[]> =>
  (await store.consume(asked.map(chargeOf))).decisions;

const remainingOf = async (store: RedisStore, ...asked: readonly ChargeOptions[]): Promise<number[]> =>
  (await store.peek(asked.map(chargeOf))).decisions.map(({ remaining }) => remaining);

const seen = (decisions: readonly Decision[]) =>
  decisions.map(({ allowed, remaining }) => [allowed, remaining]);

/** How many scripts all nodes have run. */
async function calls(): Promise<number> {
  const counts = await Promise.all(
    cluster.nodes.map(async (node) => {
      const stats = (await node.cli('INFO', 'commandstats')).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g);
      return [...stats].reduce((sum, [, count]) => sum + Number(count), 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

describe('a request with identities in several slots', () => {
  test('is charged to all of them or to none', async () => {
    const store = storeOf();
    const asked = [{ identity: a, limit: 1 }, { identity: b }, { identity: c }];
    expect(seen(await decide(store, ...asked))).toEqual([
      [true, 0],
      [true, 4],
      [true, 4],
    ]);
    expect(seen(await decide(store, ...asked))).toEqual([
      [false, 0],
      [true, 4],
      [true, 4],
    ]);
    expect(await remainingOf(store, ...asked)).toEqual([0, 4, 4]);
  });

  test('keeps the order of its limits, whatever their identities', async () => {
    const asked = [
      { identity: a, name: 'one', limit: 1 },
      { identity: b, name: 'two', limit: 2 },
      { identity: a, name: 'three', limit: 3 },
    ];
    const decisions = await decide(storeOf(), ...asked);
    expect(decisions.map(({ name, remaining }) => [name, remaining])).toEqual([
      ['one', 0],
      ['two', 1],
      ['three', 2],
    ]);
  });

  test('is given back with its shadow charges when a slot denies', async () => {
    const store = storeOf();
    const asked = [
      { identity: a, limit: 1 },
      { identity: b, shadow: true },
    ];
    await decide(store, ...asked);
    expect(seen(await decide(store, ...asked))).toEqual([
      [false, 0],
      [true, 4],
    ]);
    expect(await remainingOf(store, { identity: b })).toEqual([4]);
  });

  test('passes a shadow limit that says no, uncharged', async () => {
    const store = storeOf();
    const asked = [{ identity: a }, { identity: b, limit: 1, shadow: true }];
    await decide(store, ...asked);
    expect(seen(await decide(store, ...asked))).toEqual([
      [true, 3],
      [false, 0],
    ]);
  });

  test('can be given back', async () => {
    const store = storeOf();
    const asked = [{ identity: a }, { identity: b }];
    const decisions = await decide(store, ...asked);
    await store.refund(decisions);
    expect(await remainingOf(store, ...asked)).toEqual([5, 5]);
  });

  test('starts the block of the limit that denies, for every process', async () => {
    const prefix = unused();
    const store = storeOf({ prefix });
    const asked = [{ identity: a, limit: 1, windowMs: 60_000, blockMs: 900_000 }, { identity: b }];
    await decide(store, ...asked);
    expect((await decide(store, ...asked))[0]?.retryAfterMs).toBe(900_000);
    const [elsewhere] = await decide(storeOf({ prefix }), asked[0] as ChargeOptions);
    expect(elsewhere?.retryAfterMs).toBeGreaterThan(890_000);
  });

  test('is denied without a block when the denial was due to a charge that is given back', async () => {
    const store = storeOf();
    const fellow = await fellowOf(a);
    const full = { identity: fellow, limit: 1 };
    await decide(store, full);
    const limited = { identity: a, limit: 1 };
    const [passing, denied] = await Promise.all([
      decide(store, limited, full),
      decide(store, { ...limited, blockMs: 900_000 }, { identity: b }),
    ]);
    expect(seen(passing)).toEqual([
      [true, 1],
      [false, 0],
    ]);
    expect(seen(denied)).toEqual([
      [false, 0],
      [true, 5],
    ]);
    expect(await remainingOf(store, limited, { identity: b })).toEqual([1, 5]);
  });

  test('is denied without a block where two slots deny, since each may do so for a charge in passing', async () => {
    const store = storeOf();
    const asked = [a, b].map((identity) => ({ identity, limit: 1, windowMs: 60_000, blockMs: 900_000 }));
    await decide(store, ...asked);
    const denied = await decide(store, ...asked);
    expect(seen(denied)).toEqual([
      [false, 0],
      [false, 0],
    ]);
    for (const { retryAfterMs } of denied) expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  test('is known to be denied, so that a flood of them costs the servers nothing', async () => {
    const clock = new TestClock();
    const store = storeOf({ clock });
    const asked = [{ identity: a, limit: 1 }, { identity: b }];
    await decide(store, ...asked);
    await decide(store, ...asked);
    const before = await calls();
    for (let i = 0; i < 1_000; i++) {
      // As long as a denial is known, so that what is asked again is seen as well.
      clock.advance(1);
      expect(seen(await decide(store, ...asked))).toEqual([
        [false, 0],
        [true, 4],
      ]);
    }
    expect((await calls()) - before).toBeLessThan(20);
  });

  test('A24 of 50 at once never more pass than each limit admits, and others are charged nothing', async () => {
    const store = storeOf();
    const asked = [
      { identity: a, limit: 10 },
      { identity: b, limit: 12 },
      { identity: c, limit: 100 },
    ];
    const answers = await Promise.all(Array.from({ length: 50 }, () => decide(store, ...asked)));
    const passed = answers.filter((decisions) => decisions.every(({ allowed }) => allowed)).length;
    expect(passed).toBeGreaterThan(0);
    expect(passed).toBeLessThanOrEqual(10);
    expect(await remainingOf(store, ...asked)).toEqual([10 - passed, 12 - passed, 100 - passed]);
  });

  test('A24 of 50 at once in one slot for all exactly as many pass as the limit admits', async () => {
    const store = storeOf({ cluster: 'one-slot' });
    const asked = [
      { identity: a, limit: 10 },
      { identity: b, limit: 12 },
    ];
    const answers = await Promise.all(Array.from({ length: 50 }, () => decide(store, ...asked)));
    expect(answers.filter((decisions) => decisions.every(({ allowed }) => allowed))).toHaveLength(10);
    expect(await remainingOf(store, ...asked)).toEqual([0, 2]);
  });
});

/** Another identity on the same master. */
async function fellowOf(identity: string): Promise<string> {
  const owner = await cluster.ownerOf(identity);
  for (let i = 0; ; i++) {
    const other = `fellow:${i}`;
    if ((await cluster.ownerOf(other)) === owner) return other;
  }
}

/** The slot of an identity, its master, and another one. */
async function sidesOf(identity: string): Promise<{ slot: number; from: RedisServer; to: RedisServer }> {
  const from = await cluster.ownerOf(identity);
  const to = (await cluster.masters()).find((master) => master !== from) as RedisServer;
  return { slot: await cluster.slotOf(identity), from, to };
}

describe('a slot on the move', () => {
  test('is followed to where it has gone', async () => {
    const store = storeOf();
    const identity = 'moved:1';
    await decide(store, { identity });
    const { slot, from, to } = await sidesOf(identity);
    await cluster.migrateSlot(slot, from, to);
    expect(seen(await decide(store, { identity }))).toEqual([[true, 3]]);
    expect(await cluster.ownerOf(identity)).toBe(to);
  });

  test('is asked on both sides, key by key', async () => {
    const stores = [storeOf(), storeOf(), storeOf()];
    const identity = 'moved:2';
    for (const store of stores) await decide(store, { identity, limit: 100 });
    const { slot, from, to } = await sidesOf(identity);
    const rounds: unknown[] = [];
    await cluster.migrateSlot(slot, from, to, async () => {
      const known = await Promise.all(stores.map((store) => decide(store, { identity, limit: 100 })));
      const [fresh] = await decide(storeOf(), { identity });
      rounds.push([...known.flat(), fresh].map((decision) => decision?.remaining));
    });
    expect(rounds.slice(0, 4)).toEqual([
      [98, 98, 98, 4],
      [97, 97, 97, 4],
      [96, 96, 96, 4],
      [95, 95, 95, 4],
    ]);
  });

  test('A39 under load no decision fails and none is one too many', async () => {
    const client = connect();
    const stores = Array.from({ length: 4 }, () => new RedisStore(client, { prefix: unused() }));
    const loads = stores.map((store) => new Load(store, (turn) => busy(turn % 4 === 0 ? b : 'moved:3'), 4));
    await Promise.all(loads.map((load) => load.more(100)));
    const { slot, from, to } = await sidesOf('moved:3');
    for (const [source, target] of [
      [from, to],
      [to, from],
    ] as const) {
      await cluster.migrateSlot(slot, source, target, () => loads[0]?.more(50));
      await Promise.all(loads.map((load) => load.more(100)));
    }
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.flatMap(({ errors }) => errors)).toEqual([]);
    expect(loads.flatMap((load) => load.overLimit())).toEqual([]);
  });

  test('A39 requests with identities in several slots pass as well while one of them moves', async () => {
    const store = storeOf();
    const load = new Load(store, () => [...busy('moved:4'), ...busy(b)]);
    await load.more(100);
    const { slot, from, to } = await sidesOf('moved:4');
    await cluster.migrateSlot(slot, from, to, () => load.more(50));
    await cluster.migrateSlot(slot, to, from, () => load.more(50));
    await load.stop();
    expect(load.errors).toEqual([]);
    expect(load.overLimit()).toEqual([]);
  });

  test('is tried again by a request of which only some keys have moved', async () => {
    const prefix = unused();
    const store = storeOf({ prefix, cluster: 'one-slot' });
    const asked = [{ identity: a }, { identity: b }];
    await decide(store, ...asked);
    const { slot, from, to } = await sidesOf(prefix);
    let keysMoved = 0;
    let decided: Promise<readonly Decision[]> | undefined;
    await cluster.migrateSlot(slot, from, to, () => {
      if (keysMoved++ === 1) decided = decide(store, ...asked);
    });
    expect(seen((await decided) ?? [])).toEqual([
      [true, 3],
      [true, 3],
    ]);
  });
});

describe('a master that is gone', () => {
  const asked = () => [{ identity: a }, { identity: b, blockMs: 900_000 }, { identity: c }];

  test('A39 a request that its silence leaves undecided is given back by the other slots', async () => {
    const store = storeOf();
    await decide(store, ...asked());
    const master = await cluster.ownerOf(c);
    const replicas = await cluster.replicasOf(master);
    master.pause();
    await expect(decide(store, ...asked())).rejects.toThrow('Connection is closed');
    expect(await remainingOf(store, { identity: a }, { identity: b })).toEqual([4, 4]);
    const decides = until('its replica decides', () => decide(store, ...asked()).catch(() => false as const));
    // Servers elect it within two seconds, on a busy machine later: the store has the rest of five.
    await cluster.successorAmong(replicas);
    const time = new OwnTime();
    await decides;
    expect(time.stop()).toBeLessThan(3_000);
    master.resume();
    await cluster.ok();
  });

  test('A39 without a replica its slots reject at once, and pass again when it is back', async () => {
    const store = storeOf();
    await decide(store, ...asked());
    const master = await cluster.ownerOf(c);
    const replicas = await cluster.replicasOf(master);
    await Promise.all([master, ...replicas].map((node) => node.kill()));
    const time = new OwnTime();
    for (let i = 0; i < 5; i++) await expect(decide(store, ...asked())).rejects.toThrow();
    expect(time.stop()).toBeLessThan(1_000);
    expect(await remainingOf(store, { identity: a }, { identity: b })).toEqual([4, 4]);
    await Promise.all([master, ...replicas].map((node) => node.start()));
    await cluster.ok();
    await within(5_000, 'its slots decide', () => decide(store, ...asked()).catch(() => false as const));
  });

  test('A39 its replica takes over with what it has been told, and the other slots go on', async () => {
    const client = connect();
    const prefix = unused();
    const store = new RedisStore(client, { prefix });
    for (let i = 0; i < 5; i++) await decide(store, { identity: a });
    const former = await cluster.ownerOf(a);
    const connection = client.nodes('master').find(({ options }) => options.port === former.port);
    await until('its replica has been told', async () => (await connection?.wait(1, 500)) === 1);

    const here = new Load(new RedisStore(client, { prefix: unused() }), () => busy(a));
    const others = new Load(new RedisStore(client, { prefix: unused() }), (turn) => busy(turn % 2 ? b : c));
    await here.more(50);
    const next = await cluster.failover(former);
    const [before, failed] = [here.decided.length, here.errors.length];
    await here.more(200);
    await Promise.all([here.stop(), others.stop()]);

    expect(failed).toBeGreaterThan(0);
    expect(here.overLimit(before)).toEqual([]);
    expect(others.errors).toEqual([]);
    expect(others.overLimit()).toEqual([]);
    expect(seen(await decide(storeOf({ prefix }), { identity: a }))).toEqual([[false, 0]]);
    expect(await cluster.ownerOf(a)).toBe(next);
    await former.start();
    await cluster.ok();
  });
});

test('no key is left that would stay for ever', async () => {
  for (const node of await cluster.masters()) expect(await keysWithoutExpiry(node)).toEqual([]);
});
