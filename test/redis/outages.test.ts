import { jest } from '@jest/globals';
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { type Decision, RateLimit } from 'nestjs-ratelimit';
import {
  type RedisClient,
  RedisReplyError,
  RedisStore,
  type RedisStoreOptions,
} from 'nestjs-ratelimit/redis';
import { ALGORITHM_NAMES } from '../../lib/core/algorithms/index.js';
import { routes, serve } from '../support/app.js';
import { type ChargeOptions, chargeOf } from '../support/charges.js';
import { busy, Load } from '../support/load.js';
import { keysWithoutExpiry } from '../support/redis/expiry.js';
import { within } from '../support/redis/within.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis({ appendOnly: true });
});

const open = new Set<Redis | Redis5 | RedisStore>();
afterEach(async () => {
  for (const one of open) 'close' in one ? one.close() : one.disconnect();
  open.clear();
  redis.resume();
  if (!redis.running) await redis.start();
  expect(await keysWithoutExpiry(redis)).toEqual([]);
});

let prefixes = 0;
const unused = (): string => `outage-${prefixes++}`;

function opened<T extends Redis | Redis5 | RedisStore>(one: T): T {
  open.add(one);
  return one;
}

const storeOf = (options: RedisStoreOptions = {}): RedisStore =>
  opened(new RedisStore({ url: redis.url, prefix: unused(), ...options }));

const decide = async (store: RedisStore, ...asked: readonly ChargeOptions[]): Promise<readonly Decision[]> =>
  (await store.consume(asked.map(chargeOf))).decisions;

const remainingOf = async (store: RedisStore, ...asked: readonly ChargeOptions[]): Promise<number[]> =>
  (await store.peek(asked.map(chargeOf))).decisions.map(({ remaining }) => remaining);

/** What becomes of decisions that are asked for in one turn of the event loop: what remains, or the error. */
async function together(store: RedisStore, requests: readonly (readonly ChargeOptions[])[]) {
  const answers = await Promise.allSettled(requests.map((asked) => decide(store, ...asked)));
  return answers.map((answer) =>
    answer.status === 'fulfilled' ? answer.value.map(({ remaining }) => remaining) : answer.reason,
  );
}

const callers = ['user:1', 'user:2', 'user:3'];
const load = (store = storeOf()) => new Load(store, (turn) => busy(callers[turn % 3] as string));

/** Waits until a store decides, which it has to within some seconds. */
const recovers = (store: RedisStore) =>
  within(5_000, 'the store decides again', () => decide(store, { cost: 0 }).catch(() => false as const));

/** Settings with which a client sends a request once, and leaves none unanswered. */
const ONCE = { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 };

const clients: readonly (readonly [name: string, connect: () => Redis | Redis5])[] = [
  ['ioredis 6', () => opened(new Redis(redis.port, redis.host, ONCE)).on('error', () => undefined)],
  ['ioredis 5', () => opened(new Redis5(redis.port, redis.host, ONCE)).on('error', () => undefined)],
];

describe('a server under load', () => {
  test('A39 that forgets its scripts fails no decision and admits none too many', async () => {
    const under = load();
    for (let i = 0; i < 10; i++) {
      await under.more(20);
      await redis.cli('SCRIPT', 'FLUSH');
    }
    await under.more(20);
    await under.stop();
    expect(under.errors).toEqual([]);
    expect(under.overLimit()).toEqual([]);
  });

  test('A39 that forgets everything fails no decision', async () => {
    const store = storeOf();
    const under = load(store);
    for (let i = 0; i < 5; i++) {
      await under.more(20);
      await redis.cli('FLUSHALL');
    }
    await under.stop();
    const anew = load(store);
    await anew.more(200);
    await anew.stop();
    expect([...under.errors, ...anew.errors]).toEqual([]);
    expect(anew.overLimit()).toEqual([]);
  });

  const own = ['its own', () => undefined] as const;
  test.each([own, ...clients])(
    'A39 that kills the connections of a client, %s, leaves no decision waiting and admits none too many',
    async (_whose, connect) => {
      const client = connect();
      const under = load(client === undefined ? storeOf() : new RedisStore(client, { prefix: unused() }));
      for (let i = 0; i < 5; i++) {
        await under.more(50);
        await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal');
      }
      await under.more(200);
      await under.stop();
      expect(under.overLimit()).toEqual([]);
    },
  );

  test('A39 that is killed and started again goes on where it was', async () => {
    const prefix = unused();
    const full = { limit: 5 };
    const charged = storeOf({ prefix });
    for (let i = 0; i < 5; i++) await decide(charged, full);
    const under = load();
    for (let i = 0; i < 3; i++) {
      await under.more(100);
      const failed = under.errors.length;
      await redis.kill();
      await within(3_000, 'decisions are rejected', async () => under.errors.length > failed);
      await redis.start();
    }
    await under.more(100);
    await under.stop();
    expect(under.overLimit()).toEqual([]);
    expect((await decide(storeOf({ prefix }), full))[0]?.allowed).toBe(false);
  });

  test('A39 that is paused answers what was asked meanwhile', async () => {
    const pause = async () => {
      const under = load();
      await under.more(50);
      const start = performance.now();
      redis.pause();
      await expect(under.more(100_000, 300)).rejects.toThrow('Not within');
      redis.resume();
      await redis.cli('PING');
      const pausedMs = performance.now() - start;
      await under.more(100);
      await under.stop();
      return { under, pausedMs };
    };
    let paused = await pause();
    // A second is more than the store waits for, and a busy machine may make one of less.
    while (paused.pausedMs > 900) paused = await pause();
    expect(paused.under.errors).toEqual([]);
    expect(paused.under.overLimit()).toEqual([]);
  });

  test('A39 that stays silent leaves no decision waiting for ever', async () => {
    const store = storeOf();
    const under = load(store);
    await under.more(50);
    redis.pause();
    await within(3_000, 'decisions are rejected', async () => under.errors.length > 0);
    await under.stop(3_000);
    redis.resume();
    await recovers(store);
    expect(under.overLimit()).toEqual([]);
  });
});

describe('a client of the application', () => {
  test.each(clients)('A39 that loses its connection charges no request twice, %s', async (_name, connect) => {
    const client = connect();
    const store = new RedisStore(client, { prefix: unused() });
    const asked = { limit: 100 };
    await decide(store, asked);
    const answers = together(store, Array(20).fill([asked]));
    await new Promise((resolve) => setImmediate(resolve));
    client.stream.destroy();
    expect((await answers).map(String)).toEqual(Array(20).fill(expect.stringContaining('max retries')));
    expect(await remainingOf(store, asked)).toEqual([79]);
  });

  const warningOf = (client: RedisClient & { disconnect(): void }): unknown => {
    const said = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    new RedisStore(client);
    client.disconnect();
    const [warning] = said.mock.calls.map(([text]) => text);
    said.mockRestore();
    return warning;
  };

  test('is warned of when it sends a request twice, or leaves one waiting for ever', () => {
    const client = (options: RedisOptions) => new Redis({ ...options, lazyConnect: true });
    const missing = expect.stringContaining(
      'autoResendUnfulfilledCommands: false and maxRetriesPerRequest: 0',
    );
    expect(warningOf(client({}))).toEqual(missing);
    expect(warningOf(client({ autoResendUnfulfilledCommands: false }))).toEqual(missing);
    expect(warningOf(client({ maxRetriesPerRequest: 0 }))).toEqual(missing);
    expect(warningOf(client(ONCE))).toBeUndefined();
  });

  test('is warned of when it is a Cluster that sends a request twice', () => {
    const client = (options: ClusterOptions) => new Cluster([redis.port], { ...options, lazyConnect: true });
    expect(warningOf(client({}))).toEqual(expect.stringContaining('retryDelayOnFailover: 0'));
    expect(warningOf(client({ retryDelayOnFailover: 0 }))).toBeUndefined();
  });
});

describe('a server with something else at our keys', () => {
  const one = (identity: string, options: ChargeOptions = {}) => [{ identity, ...options }];

  test('fails what concerns a key of another type alone', async () => {
    const prefix = unused();
    const store = storeOf({ prefix });
    await redis.cli('SET', `${prefix}:{user:2}`, 'else', 'EX', 60);
    const [first, second, third, fourth] = await together(store, [
      one('user:1'),
      one('user:2'),
      [{ identity: 'user:3' }, { identity: 'user:2' }],
      one('user:3'),
    ]);
    expect([first, fourth]).toEqual([[4], [4]]);
    for (const error of [second, third]) {
      expect(error).toBeInstanceOf(RedisReplyError);
      expect(String(error)).toContain('WRONGTYPE');
    }
    expect(await remainingOf(store, ...one('user:1'), ...one('user:3'))).toEqual([4, 4]);
  });

  test('tells each request what went wrong with its own', async () => {
    const prefix = unused();
    const store = storeOf({ prefix });
    await redis.cli('SET', `${prefix}:{user:1}`, 'else', 'EX', 60);
    await redis.cli('HSET', `${prefix}:{user:2}`, chargeOf({}).policy.bucketKey, 'x');
    await redis.cli('EXPIRE', `${prefix}:{user:2}`, 60);
    const [first, second, third] = await together(store, [one('user:1'), one('user:2'), one('user:1')]);
    for (const error of [first, third]) expect(String(error)).toContain('WRONGTYPE');
    expect(second).toBeInstanceOf(RedisReplyError);
    expect(String(second)).not.toContain('WRONGTYPE');
  });

  const spoilt = [
    ['nothing', Buffer.of()],
    ['a number', Buffer.of(1)],
    ['lists', Buffer.alloc(8, 0x90)],
    ['half a bucket', Buffer.from([2, 0, 1, 2, 3, 4, 5, 6, 7])],
    ['a block without its end', Buffer.from([2, 1, 1, 2, 3, 4, 5, 6, 7])],
    ['a state and a rest', Buffer.concat([Buffer.from([2, 2]), Buffer.alloc(22, 1)])],
    ['entries of no size', Buffer.concat([Buffer.from([2, 0]), Buffer.alloc(24, 1)])],
    ['numbers and words', Buffer.concat([Buffer.of(1, 0, 0, 0), Buffer.from('\xa1x\xa1y\xa1z', 'latin1')])],
  ] as const;
  const charges = [{}, { cost: 0 }, { limit: 0 }, { shadow: true }];

  test.each(spoilt)(
    'fails what concerns a bucket of %s alone, and charges none of it',
    async (_what, bytes) => {
      const client = opened(new Redis(redis.port, redis.host));
      for (const algorithm of ALGORITHM_NAMES) {
        for (const charge of charges) {
          const prefix = unused();
          const store = storeOf({ prefix });
          const bad = { identity: 'user:2', algorithm, ...charge };
          await client.hset(`${prefix}:{user:2}`, chargeOf(bad).policy.bucketKey, bytes);
          await client.expire(`${prefix}:{user:2}`, 60);
          const [first, second, ...others] = await together(store, [
            one('user:1'),
            [{ identity: 'user:1', name: 'other' }, bad, { identity: 'user:3' }],
            one('user:2', { name: 'other' }),
            one('user:3'),
          ]);
          expect([first, ...others]).toEqual([[4], [4], [4]]);
          // A limit of 0 denies whatever the bucket holds.
          if (charge.limit !== 0) expect(second).toBeInstanceOf(RedisReplyError);
          expect(await remainingOf(store, ...one('user:1', { name: 'other' }))).toEqual([5]);
        }
      }
    },
  );
});

describe('a server that cannot write', () => {
  const asked = [{ identity: 'user:1' }, { identity: 'user:2', blockMs: 60_000 }];

  test('A39 rejects while it is out of memory, and has charged nothing', async () => {
    const store = storeOf();
    await decide(store, ...asked);
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await redis.cli('CONFIG', 'SET', 'maxmemory', 1);
    const answers = await together(store, [asked, [{ identity: 'user:3' }], asked]);
    expect(answers.map(String)).toEqual(Array(3).fill(expect.stringContaining('OOM')));
    await redis.cli('CONFIG', 'SET', 'maxmemory', 0);
    expect(await remainingOf(store, ...asked, { identity: 'user:3' })).toEqual([4, 4, 5]);
    expect((await decide(store, ...asked)).map(({ remaining }) => remaining)).toEqual([3, 3]);
  });

  test('A39 rejects while it is a replica, and decides when it leads again', async () => {
    const master = await startRedis();
    const store = storeOf();
    await decide(store, ...asked);
    await redis.cli('REPLICAOF', master.host, master.port);
    await expect(decide(store, ...asked)).rejects.toThrow('READONLY');
    await redis.cli('REPLICAOF', 'NO', 'ONE');
    await recovers(store);
    expect((await decide(store, ...asked)).every(({ allowed }) => allowed)).toBe(true);
  });
});

const Page = routes({ '/ten': RateLimit('10/hour') });

test('A39 with failMode closed requests are a 503 while the server is killed, and are counted on when it is back', async () => {
  const store = new RedisStore({ url: redis.url, prefix: unused() });
  // No answer is late, however busy the machine is: a server that is killed refuses at once.
  const options = { store, failMode: 'closed', timeoutMs: 60_000 } as const;
  const app = await serve('fastify', { controllers: [Page], options });
  const seen = new Set<number>();
  let passed = 0;
  const ask = async (): Promise<number> => {
    const { status, headers } = await app.get('/ten');
    seen.add(status);
    if (status === 200) passed++;
    if (status === 503) expect(headers.get('retry-after')).toBe('1');
    return status;
  };
  for (let i = 0; i < 3; i++) expect(await ask()).toBe(200);
  const killed = redis.kill();
  await Promise.all(Array.from({ length: 5 }, ask));
  await killed;
  for (let i = 0; i < 5; i++) expect(await ask()).toBe(503);
  await redis.start();
  await within(5_000, 'requests pass again', async () => (await ask()) === 200);
  await until('the limit is reached', async () => (await ask()) === 429);
  expect(passed).toBeLessThanOrEqual(10);
  expect(passed).toBeGreaterThan(3);
  expect([...seen].sort()).toEqual([200, 429, 503]);
  await app.close();
});
