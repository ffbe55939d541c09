import type { Charge } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { ALGORITHMS } from '../../../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../../../lib/core/policy.js';
import { MemoryStore } from '../../../../lib/store/memory/memory-store.js';
import { chargeOf } from '../../../support/charges.js';

const policy = definePolicy({ name: 'limit', scope: 'scope', rate: { limit: 10, windowMs: 60_000 } });
const other = definePolicy({ name: 'other', scope: 'scope', rate: { limit: 10, windowMs: 3_600_000 } });

/** A charge under a policy. */
const chargeTo = (identity: string, under: Policy = policy, cost = 1, blockMs = 0): Charge => ({
  policy: under,
  identity,
  cost,
  shadow: false,
  blockDurationsMs: blockMs === 0 ? [] : [blockMs],
});

const setUp = (maxBuckets: number) => {
  const clock = new TestClock();
  const store = new MemoryStore({ clock, maxBuckets });
  const charge = (identity: string, cost = 1, { blockMs = 0, under = policy } = {}) =>
    store.consume([chargeTo(identity, under, cost, blockMs)]).decisions[0];
  /** One request under several policies. */
  const chargeAll = (identity: string, policies: readonly Policy[], cost = 1) =>
    store.consume(policies.map((under) => chargeTo(identity, under, cost))).decisions;
  const remaining = (identity: string, under = policy) =>
    store.peek([chargeTo(identity, under)]).decisions[0]?.remaining;
  const remainingOf = (...names: string[]) => names.map((name) => remaining(`user:${name}`));
  return { clock, store, charge, chargeAll, remaining, remainingOf };
};

describe('A41 the memory store is bounded', () => {
  test('never holds more than maxBuckets', () => {
    const { store, charge } = setUp(1_000);
    let most = 0;
    for (let i = 0; i < 10_000; i++) {
      charge(`user:${i}`);
      most = Math.max(most, store.size);
    }
    expect([most, store.size]).toEqual([1_000, 1_000]);
  });

  test('evicts expired buckets first', () => {
    const { clock, charge, remainingOf } = setUp(4);
    charge('user:ends', 9);
    clock.advance('59s');
    charge('user:a', 1);
    charge('user:b', 2);
    charge('user:c', 3);
    clock.advance('1s');
    charge('user:new', 1);
    expect(remainingOf('a', 'b', 'c', 'new')).toEqual([9, 8, 7, 9]);
  });

  test('finds expired buckets behind ones that are still charged', () => {
    const { clock, charge, remainingOf } = setUp(4);
    for (const name of ['a', 'b', 'c']) charge(`user:${name}`, 2);
    clock.advance('1s');
    charge('user:ends', 9);
    clock.advance('29s');
    for (const name of ['a', 'b', 'c']) charge(`user:${name}`, 1);
    clock.advance('31s');
    charge('user:new', 4);
    expect(remainingOf('a', 'b', 'c', 'new')).toEqual([9, 9, 9, 6]);
  });

  test('then evicts the bucket with the smallest share of its limit used', () => {
    const { charge, remaining, remainingOf } = setUp(4);
    charge('user:five', 5);
    charge('user:two', 2);
    charge('user:full', 10);
    charge('user:three', 3);
    charge('user:x', 1);
    expect(remaining('user:two')).toBe(10);
    charge('user:y', 4);
    expect(remaining('user:x')).toBe(10);
    charge('user:z', 6);
    expect(remainingOf('five', 'full', 'three', 'y', 'z')).toEqual([5, 0, 10, 6, 4]);
  });

  test.each([0, 1])(
    'keeps buckets that were charged or blocked after they were chosen for eviction: half %d',
    (half) => {
      const since = Array.from({ length: 32 }, (_, i) => `user:${2 * i + half}`);
      const { charge, remaining } = setUp(64);
      for (let i = 0; i < 64; i++) charge(`user:${i}`, 1);
      for (const identity of since) charge(identity, 9);
      charge('user:new', 1);
      expect(since.map((identity) => remaining(identity))).toEqual(since.map(() => 0));

      const spent = setUp(64);
      for (let i = 0; i < 64; i++) spent.charge(`user:${i}`, 10);
      for (const identity of since) spent.charge(identity, 1, { blockMs: 900_000 });
      spent.charge('user:new', 1);
      const waits = since.map((identity) => spent.charge(identity)?.retryAfterMs);
      expect(waits).toEqual(since.map(() => 900_000));
    },
  );

  test('never evicts blocked buckets', () => {
    const { store, charge } = setUp(4);
    charge('user:blocked', 10);
    expect(charge('user:blocked', 1, { blockMs: 900_000 })?.retryAfterMs).toBe(900_000);
    store.block('user:banned', 900_000);
    for (let i = 0; i < 100; i++) charge(`user:${i}`, 5);
    expect(charge('user:blocked')?.retryAfterMs).toBe(900_000);
    expect(charge('user:banned')?.retryAfterMs).toBe(900_000);
    expect(store.size).toBe(4);
  });

  test('blocks take at most half of the room, so other buckets are always counted', () => {
    const { clock, store, charge } = setUp(10);
    for (let i = 0; i < 20; i++) {
      charge(`user:${i}`, 10);
      charge(`user:${i}`, 1, { blockMs: 900_000 });
    }
    const blocked = Array.from(
      { length: 20 },
      (_, i) => (charge(`user:${i}`, 0)?.retryAfterMs ?? 0) > 60_000,
    );
    expect(blocked.filter(Boolean)).toHaveLength(5);
    expect(() => store.block('user:one-more', 1_000)).toThrow(RangeError);
    charge('user:counted', 10);
    expect(charge('user:counted')?.allowed).toBe(false);
    clock.advance('15min');
    store.block('user:later', 1_000);
    expect(charge('user:later')?.allowed).toBe(false);
  });

  test('an expired block makes room for another one while its bucket stays', () => {
    const { clock, charge } = setUp(4);
    const fill = (identity: string) => charge(identity, 10, { under: other });
    const deny = (identity: string, blockMs: number) => charge(identity, 1, { under: other, blockMs });
    for (const identity of ['user:1', 'user:2', 'user:3']) fill(identity);
    const begins = [deny('user:1', 60_000), deny('user:2', 120_000), deny('user:3', 60_000)];
    expect(begins.map((decision) => decision?.startsBlock)).toEqual([true, true, false]);
    clock.advance('1min');
    expect(deny('user:3', 60_000)?.startsBlock).toBe(true);
    expect(deny('user:1', 60_000)?.startsBlock).toBe(false);
    clock.advance('1min');
    expect(deny('user:1', 60_000)?.startsBlock).toBe(true);
  });

  test('repeated blocks, unblocks and resets take no room', () => {
    const { store, charge } = setUp(10);
    for (let i = 0; i < 100; i++) store.block('user:again', 900_000);
    for (let i = 0; i < 100; i++) {
      store.block(`user:${i}`, 900_000);
      if (i % 2 === 0) store.unblock(`user:${i}`);
      else store.reset({ identity: `user:${i}` });
    }
    expect(store.size).toBe(1);
    for (let i = 0; i < 4; i++) store.block(`user:${i}`, 900_000);
    expect(charge('user:again')?.allowed).toBe(false);
    expect(() => store.block('user:sixth', 1_000)).toThrow(RangeError);
    expect(store.size).toBe(5);
  });

  test('a limit that is 0 for a while leaves no bucket behind', () => {
    const { clock, store, charge, remaining } = setUp(10);
    const bucket = (limit: number) =>
      definePolicy({
        name: 'bucket',
        scope: 'scope',
        rate: { limit, windowMs: 60_000 },
        algorithm: 'token-bucket',
      });
    charge('user:1', 4, { under: bucket(10) });
    expect(charge('user:1', 1, { under: bucket(0) })?.retryAfterMs).toBeNull();
    expect(remaining('user:1', bucket(10))).toBe(6);
    clock.advance('2min');
    expect(store.size).toBe(0);
  });

  test('evicts the least charged of many buckets', () => {
    const { store, charge, remaining } = setUp(20_000);
    for (let i = 0; i < 20_000; i++) charge(`user:${i}`, i < 500 ? 5 : 1);
    for (let i = 0; i < 15_000; i++) charge(`flood:${i}`);
    expect(store.size).toBe(20_000);
    const kept = Array.from({ length: 500 }, (_, i) => remaining(`user:${i}`)).filter((left) => left === 5);
    expect(kept).toHaveLength(500);
  });

  test('the buckets of one request do not evict each other', () => {
    const { clock, chargeAll } = setUp(2);
    const both = () => chargeAll('user:1', [policy, other]);
    for (let i = 0; i < 5; i++) both();
    expect(both().map(({ remaining }) => remaining)).toEqual([4, 4]);
    clock.advance('1min');
    expect(both().map(({ remaining }) => remaining)).toEqual([9, 3]);
  });

  test('a request is charged in full while its new buckets move others', () => {
    const { store, remaining } = setUp(100_000);
    const wide = definePolicy({ name: 'wide', scope: 'all', rate: { limit: 10_000, windowMs: 60_000 } });
    for (let i = 0; i < 9_000; i++) {
      store.consume([chargeTo(`new:${i}`), chargeTo(`new:${i}`, other), chargeTo('user:1', wide)]);
      if (i % 500 === 0) expect(remaining('user:1', wide)).toBe(10_000 - i - 1);
    }
    expect(remaining('user:1', wide)).toBe(1_000);
    const left = Array.from({ length: 9_000 }, (_, i) => remaining(`new:${i}`, i % 2 ? policy : other));
    expect(left.every((one) => one === 9)).toBe(true);
  });

  test.each([
    [4, 2],
    [4, 4],
    [64, 5],
    [64, 64],
  ])(
    'of %d buckets, those that %d limits of one request just charged stay, although they are the least charged',
    (most, count) => {
      const { store, charge, chargeAll } = setUp(most);
      for (let i = 0; i < most; i++) charge(`user:${i}`, 5);
      const limits = Array.from({ length: count }, (_, i) =>
        definePolicy({ name: `limit-${i}`, scope: 'scope', rate: { limit: 10, windowMs: 60_000 } }),
      );
      const all = () => chargeAll('user:new', limits);
      expect(all().map(({ receipt }) => receipt !== null)).toEqual(limits.map(() => true));
      expect(all().map(({ used }) => used)).toEqual(limits.map(() => 2));
      expect(store.size).toBe(most);
    },
  );

  test('an expired bucket that makes room for another one of the same request starts again', () => {
    const { clock, store, charge, chargeAll, remaining } = setUp(2);
    charge('user:1', 1, { under: policy });
    charge('user:2', 1, { under: other });
    // Set, not turned: the store's timer would have dropped them.
    clock.set(clock.now() + 60_000);
    const decisions = chargeAll('user:1', [other, policy], 4);
    expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true]);
    expect([remaining('user:1', other), remaining('user:1', policy)]).toEqual([6, 6]);
    expect(store.size).toBe(2);
  });

  describe('the work of one charge', () => {
    /** How many buckets are looked at: of each, what has ended is taken away first. */
    let looks = 0;
    const algorithm = ALGORITHMS[policy.algorithm];
    const { settle } = algorithm;
    beforeAll(() => {
      algorithm.settle = (...given) => {
        looks++;
        return settle.apply(algorithm, given);
      };
    });
    afterAll(() => {
      algorithm.settle = settle;
    });
    const looksOf = (act: () => void): number => {
      looks = 0;
      act();
      return looks;
    };

    test.each([1_000, 10_000])('does not grow with the store: %d buckets under new identities', (max) => {
      const { clock, store, charge } = setUp(max);
      let most = 0;
      for (let i = 0; i < 6 * max; i++) {
        // Set, not turned: the store's timer must not help.
        if (i % (max / 1_000) === 0) clock.set(clock.now() + 20);
        most = Math.max(
          most,
          looksOf(() => charge(`user:${i}`, 1 + (i % 5))),
        );
      }
      expect(store.size).toBe(max);
      expect(most).toBeLessThan(200);
    });

    test('is not postponed: evicted buckets are forgotten', () => {
      const { clock, store, charge } = setUp(1_000);
      for (let i = 0; i < 50_000; i++) charge(`user:${i}`);
      expect(store.size).toBe(1_000);
      const ended = looksOf(() => clock.advance('2min'));
      expect(store.size).toBe(0);
      expect(ended).toBeLessThan(5 * 1_000);
    });
  });

  test('all buckets of 100,000 idle identities are removed without a request', () => {
    const { clock, store, charge } = setUp(250_000);
    for (let i = 0; i < 100_000; i++) charge(`user:${i}`);
    expect(store.size).toBe(100_000);
    clock.advance('2min');
    expect(store.size).toBe(0);
  });

  test('repeated resets of a bucket leave nothing behind', () => {
    const { store, charge } = setUp(10);
    for (let i = 0; i < 100_000; i++) {
      charge('user:1');
      store.reset({ identity: 'user:1' });
    }
    expect(store.size).toBe(0);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('maxBuckets cannot be %d', (maxBuckets) => {
    expect(() => new MemoryStore({ maxBuckets })).toThrow('[bad-option] MemoryStore: maxBuckets cannot be');
  });

  test('an unknown option is an error', () => {
    expect(() => new MemoryStore({ maxBucket: 5 } as never)).toThrow(
      '[bad-option] MemoryStore: Unknown option "maxBucket". The options are maxBuckets, clock.',
    );
  });
});

test('a store does not refund charges of another store', () => {
  const [one, other] = [new MemoryStore(), new MemoryStore()];
  const charge = chargeOf({ limit: 5 });
  const { decisions } = one.consume([charge]);
  other.consume([charge]);
  other.refund(decisions);
  expect(other.peek([charge]).decisions[0]?.remaining).toBe(4);
  one.refund(decisions);
  expect(one.peek([charge]).decisions[0]?.remaining).toBe(5);
});

test('A41 memory is released after 100,000 identities become idle', () => {
  const collect = globalThis.gc;
  if (collect === undefined) throw new Error('Run Node with --expose-gc.');
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const { clock, store, charge } = setUp(250_000);
  charge('user:first');
  clock.advance('2min');
  const before = heap();
  for (let i = 0; i < 100_000; i++) charge(`user:${i}`);
  const full = heap();
  clock.advance('2min');
  const after = heap();
  expect(store.size).toBe(0);
  expect(full - before).toBeGreaterThan(5_000_000);
  expect(after - before).toBeLessThan((full - before) / 20);
});

test('A42 a closed store has no timer; using the store starts it again', () => {
  const running = new Set<object>();
  class CountingClock extends TestClock {
    override every(ms: number, task: () => void): () => void {
      const token = {};
      running.add(token);
      const stop = super.every(ms, task);
      return () => {
        running.delete(token);
        stop();
      };
    }
  }
  const clock = new CountingClock();
  const store = new MemoryStore({ clock });
  const charge = () => store.consume([chargeTo('user:1')]);
  charge();
  expect(running.size).toBe(1);
  store.close();
  expect(running.size).toBe(0);
  store.clear();
  charge();
  expect(running.size).toBe(1);
  clock.advance('2min');
  expect([store.size, running.size]).toEqual([0, 0]);
});

test('an exact bucket whose limit is raised above 1000 goes on, and merges its charges', () => {
  const clock = new TestClock();
  const store = new MemoryStore({ clock });
  const chargeAt = (limit: number): Charge => {
    const rate = { limit, windowMs: 3_600_000 };
    const policy = definePolicy({ name: 'tier', scope: 'tier', rate, blocks: true });
    return { policy, identity: 'user:1', cost: 1, shadow: false, blockDurationsMs: [60_000] };
  };
  const remaining = (limit: number) => store.consume([chargeAt(limit)]).decisions[0]?.remaining;
  for (let i = 0; i < 1_000; i++) {
    clock.advance(1);
    expect(remaining(1_000)).toBe(999 - i);
  }
  for (let i = 0; i < 200; i++) {
    clock.advance(1);
    expect(remaining(5_000)).toBe(3_999 - i);
  }
});
