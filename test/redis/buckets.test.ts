import { setTimeout } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { type Charge, MemoryStore, type Store } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { ALGORITHM_NAMES } from '../../lib/core/algorithms/index.js';
import { definePolicy } from '../../lib/core/policy.js';
import { chargeOf } from '../support/charges.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

const open = new Set<Store>();
afterEach(async () => {
  for (const store of open) await store.close?.();
  open.clear();
});

function opened<Opened extends Store>(store: Opened): Opened {
  open.add(store);
  return store;
}

let prefixes = 0;

const kinds: [string, (clock: TestClock) => Store][] = [
  ['memory', (clock) => new MemoryStore({ clock })],
  ['Redis', (clock) => new RedisStore({ url: redis.url, prefix: `bucket-${prefixes++}`, clock })],
];

describe.each(kinds)('buckets in %s', (_kind, make) => {
  test('a scope is reset without others that its name stands in', async () => {
    const store = opened(make(new TestClock()));
    const under = (scope: string, name: string): Charge => ({
      ...chargeOf(),
      policy: definePolicy({ name, scope, rate: { limit: 5, windowMs: 60_000 } }),
    });
    const charges = [
      under('login', 'a'),
      under('shop', 'login'),
      under('login:web', 'a'),
      under('my/login', 'a'),
    ];
    await store.consume(charges);
    await store.reset({ identity: 'user:1', scope: 'login' });
    const { decisions } = await store.peek(charges);
    expect(decisions.map(({ remaining }) => remaining)).toEqual([5, 4, 4, 4]);
  });

  test('how often a bucket was blocked outlives a charge that is given back', async () => {
    const clock = new TestClock();
    const store = opened(make(clock));
    const charge: Charge = {
      ...chargeOf({ limit: 1, windowMs: 600_000 }),
      blockDurationsMs: [1_000, 3_600_000],
    };
    const { decisions } = await store.consume([charge]);
    await store.consume([charge]);
    clock.advance('2s');
    await store.refund(decisions);
    expect((await store.consume([charge])).decisions[0]?.allowed).toBe(true);
    expect((await store.consume([charge])).decisions[0]?.retryAfterMs).toBe(3_600_000);
  });
});

describe('what Redis has denied passes at once', () => {
  const setUp = () => {
    const store = opened(new RedisStore({ url: redis.url, prefix: `denied-${prefixes++}` }));
    const consume = async () => (await store.consume([chargeOf({ limit: 1 })])).decisions;
    return { store, consume, passes: async () => (await consume()).every(({ allowed }) => allowed) };
  };

  test('when a charge is given back', async () => {
    const { store, consume, passes } = setUp();
    const charged = await consume();
    expect(await passes()).toBe(false);
    await store.refund(charged);
    expect(await passes()).toBe(true);
  });

  test('when a block is ended', async () => {
    const { store, passes } = setUp();
    await store.block('user:1', 600_000);
    expect(await passes()).toBe(false);
    await store.unblock('user:1');
    expect(await passes()).toBe(true);
  });

  test('when its identity is reset', async () => {
    const { store, consume, passes } = setUp();
    await consume();
    expect(await passes()).toBe(false);
    await store.reset({ identity: 'user:1' });
    expect(await passes()).toBe(true);
  });
});

test.each([0, 0.2, 0.4, 0.6, 0.8])(
  'a wait is never told shorter than it is, wherever in a millisecond it began: at %d',
  async (part) => {
    const store = opened(new RedisStore({ url: redis.url, prefix: `parts-${prefixes++}` }));
    const now = jest.spyOn(performance, 'now');
    try {
      const consume = async () => (await store.consume([chargeOf({ limit: 1 })])).decisions[0]?.retryAfterMs;
      now.mockReturnValue(1_000 + part);
      await consume();
      const waitMs = await consume();
      expect(waitMs).toBeGreaterThan(3_500_000);
      now.mockReturnValue(1_000 + part + 0.2);
      expect(await consume()).toBe(waitMs);
      now.mockReturnValue(1_000 + part + 1);
      expect(await consume()).toBe(Number(waitMs) - 1);
    } finally {
      now.mockRestore();
    }
  },
);

describe('a key of Redis lives as long as what it holds', () => {
  const setUp = () => {
    const prefix = `life-${prefixes++}`;
    const store = opened(new RedisStore({ url: redis.url, prefix }));
    return { store, livesForMs: async () => Number(await redis.cli('PTTL', `${prefix}:{user:1}`)) };
  };

  test('the block of an identity, whether it was charged before or not', async () => {
    const { store, livesForMs } = setUp();
    await store.block('user:1', 600_000);
    expect(await livesForMs()).toBeGreaterThan(590_000);
    const { store: other, livesForMs: livesOn } = setUp();
    await other.consume([chargeOf({ windowMs: 1_000 })]);
    await other.block('user:1', 600_000);
    expect(await livesOn()).toBeGreaterThan(590_000);
  });

  test('the memory of blocks that grow', async () => {
    const { store, livesForMs } = setUp();
    const charge: Charge = { ...chargeOf({ limit: 1, windowMs: 1_000 }), blockDurationsMs: [2_000, 600_000] };
    // Together, so that the second finds the first whatever this process waits for.
    await Promise.all([store.consume([charge]), store.consume([charge])]);
    expect(await livesForMs()).toBeGreaterThan(590_000);
  });

  // In real time, since the server's own clock is what expires keys.
  test.each(ALGORITHM_NAMES)(
    'every charge of a %s while it is charged again and again',
    async (algorithm) => {
      const { store, livesForMs } = setUp();
      const charge = (windowMs: number): Charge => ({
        ...chargeOf(),
        policy: definePolicy({
          name: `in-${windowMs}`,
          scope: 'all',
          rate: { limit: 1_000, windowMs },
          algorithm,
        }),
      });
      const lacks: number[] = [];
      let endsAtMs = 0;
      for (let i = 0; i < 25; i++) {
        const beforeMs = Date.now();
        const windows = i % 4 === 0 ? [200, 400, 900] : [400];
        const { decisions } = await store.consume(windows.map((windowMs) => charge(windowMs)));
        for (const { resetAfterMs } of decisions) endsAtMs = Math.max(endsAtMs, beforeMs + resetAfterMs);
        const lifeMs = await livesForMs();
        const lacksMs = endsAtMs - (Date.now() + lifeMs);
        // Two clocks that count in whole milliseconds.
        if (!(lacksMs <= 2)) lacks.push(lacksMs);
        await setTimeout(40);
      }
      expect(lacks).toEqual([]);
    },
  );

  test('charges of a bucket that was blocked for a moment, and is not any more', async () => {
    const { store, livesForMs } = setUp();
    const windowMs = 800;
    const charge = (cost: number): Charge => ({
      ...chargeOf({ limit: 10, windowMs }),
      cost,
      blockDurationsMs: [10],
    });
    const lacks: number[] = [];
    for (let round = 0; round < 6; round++) {
      await store.consume([charge(1)]);
      await store.consume([charge(10)]);
      // The key's life is set anew by the first of these, and by none of the others.
      await setTimeout(130);
      await store.consume([charge(1)]);
      await setTimeout(75);
      await store.consume([charge(1)]);
      await store.unblock('user:1');
      await setTimeout(35);
      const beforeMs = Date.now();
      const { decisions } = await store.consume([charge(1)]);
      const endsAtMs = beforeMs + (decisions[0]?.resetAfterMs as number);
      const lifeMs = await livesForMs();
      const lacksMs = endsAtMs - (Date.now() + lifeMs);
      if (!(lacksMs <= 2)) lacks.push(lacksMs);
      await store.reset({ identity: 'user:1' });
    }
    expect(lacks).toEqual([]);
  });

  test('a token-bucket that empties later since its limit has fallen', async () => {
    const { store, livesForMs } = setUp();
    const charge = (limit: number, cost: number): Charge => ({
      ...chargeOf({ algorithm: 'token-bucket', limit, windowMs: 80_000 }),
      cost,
    });
    await store.consume([charge(1_000, 500)]);
    expect(await livesForMs()).toBeLessThan(50_000);
    await store.consume([charge(600, 1)]);
    expect(await livesForMs()).toBeGreaterThan(60_000);
  });

  test('a token-bucket whose limit has fallen, also if it only denies from then on', async () => {
    const { store, livesForMs } = setUp();
    const charge = (limit: number): Charge => ({
      ...chargeOf({ algorithm: 'token-bucket', limit, windowMs: 10_000 }),
      cost: 100,
    });
    await store.consume([charge(100)]);
    expect(await livesForMs()).toBeLessThan(20_000);
    const { policy } = charge(100);
    const slow = { ...charge(100), policy: { ...policy, limit: 10 } };
    expect((await store.consume([slow])).decisions[0]?.allowed).toBe(false);
    expect(await livesForMs()).toBeGreaterThan(90_000);
  });

  test('a block for no longer than it lasts, after a clock has stepped back', async () => {
    const clock = new TestClock();
    const prefix = `bucket-${prefixes++}`;
    const store = opened(new RedisStore({ url: redis.url, prefix, clock }));
    const charge = { ...chargeOf({ limit: 1, windowMs: 1_000 }), blockDurationsMs: [60_000] };
    await store.consume([charge]);
    await store.consume([charge]);
    clock.set(clock.now() - 3_600_000);
    await store.consume([charge]);
    clock.advance(60_001);
    for (let i = 0; i < 2; i++) await store.consume([charge]);
    const lifeMs = Number(await redis.cli('PTTL', `${prefix}:{user:1}`));
    expect(lifeMs).toBeLessThan(300_000);
  });
});
