import { TestClock } from 'nestjs-ratelimit/testing';
import { ALGORITHMS } from '../../../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../../../lib/core/policy.js';
import { MemoryStore } from '../../../../lib/store/memory/memory-store.js';
import { chargeOf } from '../../../support/charges.js';

const policy = definePolicy({ name: 'limit', scope: 'scope', rate: { limit: 10, windowMs: 60_000 } });
const other = definePolicy({ name: 'other', scope: 'scope', rate: { limit: 10, windowMs: 3_600_000 } });

const setUp = (maxBuckets: number) => {
  const clock = new TestClock();
  const store = new MemoryStore({ clock, maxBuckets });
  const charge = (identity: string, cost = 1, { blockMs = 0, under = policy } = {}) =>
    store.consume([
      { policy: under, identity, cost, shadow: false, blockDurationsMs: blockMs === 0 ? [] : [blockMs] },
    ]).decisions[0];
  const remaining = (identity: string, under = policy) =>
    store.peek([{ policy: under, identity, cost: 1, shadow: false, blockDurationsMs: [] }]).decisions[0]
      ?.remaining;
  return { clock, store, charge, remaining };
};

describe('A41 the memory store is bounded', () => {
  test('it never holds more than its configured number of buckets', () => {
    const { store, charge } = setUp(1_000);
    let most = 0;
    for (let i = 0; i < 10_000; i++) {
      charge(`user:${i}`);
      most = Math.max(most, store.size);
    }
    expect([most, store.size]).toEqual([1_000, 1_000]);
  });

  test('what has ended goes first', () => {
    const { clock, charge, remaining } = setUp(4);
    charge('user:ends', 9);
    clock.advance('59s');
    charge('user:a', 1);
    charge('user:b', 2);
    charge('user:c', 3);
    clock.advance('1s');
    charge('user:new', 1);
    expect(['a', 'b', 'c', 'new'].map((name) => remaining(`user:${name}`))).toEqual([9, 8, 7, 9]);
  });

  test('what has ended is found also behind buckets that go on being charged', () => {
    const { clock, charge, remaining } = setUp(4);
    for (const name of ['a', 'b', 'c']) charge(`user:${name}`, 2);
    clock.advance('1s');
    charge('user:ends', 9);
    clock.advance('29s');
    for (const name of ['a', 'b', 'c']) charge(`user:${name}`, 1);
    clock.advance('31s');
    charge('user:new', 4);
    expect(['a', 'b', 'c', 'new'].map((name) => remaining(`user:${name}`))).toEqual([9, 9, 9, 6]);
  });

  test('then what is least charged, the share of the limit deciding', () => {
    const { charge, remaining } = setUp(4);
    charge('user:five', 5);
    charge('user:two', 2);
    charge('user:full', 10);
    charge('user:three', 3);
    charge('user:x', 1);
    expect(remaining('user:two')).toBe(10);
    charge('user:y', 4);
    expect(remaining('user:x')).toBe(10);
    charge('user:z', 6);
    expect(['five', 'full', 'three', 'y', 'z'].map((name) => remaining(`user:${name}`))).toEqual([
      5, 0, 10, 6, 4,
    ]);
  });

  test.each([0, 1])(
    'nor what was charged or blocked after it was found to be the least charged: %d',
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

  test('never what is blocked', () => {
    const { store, charge } = setUp(4);
    charge('user:blocked', 10);
    expect(charge('user:blocked', 1, { blockMs: 900_000 })?.retryAfterMs).toBe(900_000);
    store.block('user:banned', 900_000);
    for (let i = 0; i < 100; i++) charge(`user:${i}`, 5);
    expect(charge('user:blocked')?.retryAfterMs).toBe(900_000);
    expect(charge('user:banned')?.retryAfterMs).toBe(900_000);
    expect(store.size).toBe(4);
  });

  test('blocks take at most half of the room, so that others are always counted', () => {
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

  test('a block that has ended makes room for another, though its bucket lives on', () => {
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

  test('blocking, unblocking and resetting again and again takes no room', () => {
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

  test('a limit that becomes 0 for a while leaves no bucket for ever', () => {
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

  test('among many buckets the least charged go', () => {
    const { store, charge, remaining } = setUp(20_000);
    for (let i = 0; i < 20_000; i++) charge(`user:${i}`, i < 500 ? 5 : 1);
    for (let i = 0; i < 15_000; i++) charge(`flood:${i}`);
    expect(store.size).toBe(20_000);
    const kept = Array.from({ length: 500 }, (_, i) => remaining(`user:${i}`)).filter((left) => left === 5);
    expect(kept).toHaveLength(500);
  });

  test('the buckets of one request do not make room for one another', () => {
    const { clock, store } = setUp(2);
    const both = () =>
      store.consume(
        [policy, other].map((under) => ({
          policy: under,
          identity: 'user:1',
          cost: 1,
          shadow: false,
          blockDurationsMs: [],
        })),
      ).decisions;
    for (let i = 0; i < 5; i++) both();
    expect(both().map(({ remaining }) => remaining)).toEqual([4, 4]);
    clock.advance('1min');
    expect(both().map(({ remaining }) => remaining)).toEqual([9, 3]);
  });

  test('a request is charged in full while buckets that it makes move others', () => {
    const { store, remaining } = setUp(100_000);
    const chargeTo = (under: Policy, identity: string) => ({
      policy: under,
      identity,
      cost: 1,
      shadow: false,
      blockDurationsMs: [],
    });
    const wide = definePolicy({ name: 'wide', scope: 'all', rate: { limit: 10_000, windowMs: 60_000 } });
    for (let i = 0; i < 9_000; i++) {
      store.consume([chargeTo(policy, `new:${i}`), chargeTo(other, `new:${i}`), chargeTo(wide, 'user:1')]);
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
    'nor does one, of %d, that one of %d limits has just been charged to go, though it is the least charged',
    (most, count) => {
      const { store, charge } = setUp(most);
      for (let i = 0; i < most; i++) charge(`user:${i}`, 5);
      const limits = Array.from({ length: count }, (_, i) =>
        definePolicy({ name: `limit-${i}`, scope: 'scope', rate: { limit: 10, windowMs: 60_000 } }),
      );
      const all = () =>
        store.consume(
          limits.map((under) => ({
            policy: under,
            identity: 'user:new',
            cost: 1,
            shadow: false,
            blockDurationsMs: [],
          })),
        ).decisions;
      expect(all().map(({ receipt }) => receipt !== null)).toEqual(limits.map(() => true));
      expect(all().map(({ used }) => used)).toEqual(limits.map(() => 2));
      expect(store.size).toBe(most);
    },
  );

  test('a bucket that has ended and makes room for another one of the same request is counted afresh', () => {
    const { clock, store, charge, remaining } = setUp(2);
    charge('user:1', 1, { under: policy });
    charge('user:2', 1, { under: other });
    // Set, not turned: the store's timer would have dropped them.
    clock.set(clock.now() + 60_000);
    const { decisions } = store.consume(
      [other, policy].map((under) => ({
        policy: under,
        identity: 'user:1',
        cost: 4,
        shadow: false,
        blockDurationsMs: [],
      })),
    );
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

    test('does not come later either: what has made room for others is forgotten', () => {
      const { clock, store, charge } = setUp(1_000);
      for (let i = 0; i < 50_000; i++) charge(`user:${i}`);
      expect(store.size).toBe(1_000);
      const ended = looksOf(() => clock.advance('2min'));
      expect(store.size).toBe(0);
      expect(ended).toBeLessThan(5 * 1_000);
    });
  });

  test('100,000 identities, then silence: all buckets go, without a request', () => {
    const { clock, store, charge } = setUp(250_000);
    for (let i = 0; i < 100_000; i++) charge(`user:${i}`);
    expect(store.size).toBe(100_000);
    clock.advance('2min');
    expect(store.size).toBe(0);
  });

  test('resetting a bucket again and again leaves nothing behind', () => {
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

  test('a misspelled option is an error', () => {
    expect(() => new MemoryStore({ maxBucket: 5 } as never)).toThrow(
      '[bad-option] MemoryStore: Unknown option "maxBucket". The options are maxBuckets, clock.',
    );
  });
});

test('what one store has charged another one does not give back', () => {
  const [one, other] = [new MemoryStore(), new MemoryStore()];
  const charge = chargeOf({ limit: 5 });
  const { decisions } = one.consume([charge]);
  other.consume([charge]);
  other.refund(decisions);
  expect(other.peek([charge]).decisions[0]?.remaining).toBe(4);
  one.refund(decisions);
  expect(one.peek([charge]).decisions[0]?.remaining).toBe(5);
});

test('A41 memory goes back after 100,000 identities and silence', () => {
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

test('A42 a closed store leaves no timer, and one that is used again starts it again', () => {
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
  const charge = () =>
    store.consume([{ policy, identity: 'user:1', cost: 1, shadow: false, blockDurationsMs: [] }]);
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
