import type { Awaitable } from '../../../lib/core/awaitable.js';
import { RateLimitConfigError } from '../../../lib/core/errors.js';
import type { Caller } from '../../../lib/identity/caller.js';
import { createHasher } from '../../../lib/identity/hash.js';
import {
  compileCondition,
  compileCost,
  compileCountWhen,
  compileKeyRule,
  compileMethods,
  validCostOrOne,
} from '../../../lib/plan/limit-functions.js';
import type { ConditionFunction, CostFunction, CountFunction, KeyRule } from '../../../lib/plan/options.js';
import { rejectResolvers } from '../../../lib/plan/resolvers.js';

const caller: Caller = {
  address: '203.0.113.7',
  authenticated: true,
  userId: 'alice',
  method: 'GET',
  value: () => undefined,
};
const hash = createHasher('secret');
const error = new Error('no database');
const fail = (): never => {
  throw error;
};
const failLater = () => Promise.reject(error);

const setUp = () => {
  const reports: unknown[][] = [];
  return { reports, report: (...report: unknown[]) => void reports.push(report) };
};

describe('keys', () => {
  const setUpKey = (key: KeyRule<Caller>) => {
    const { reports, report } = setUp();
    const context = { hash, isKeyed: true, report, resolve: rejectResolvers };
    return { reports, ...compileKeyRule(key, 'Shop.get', context) };
  };

  test('a text is found without a promise', () => {
    const user = setUpKey('user|ip');
    expect(user.identify(caller)).toBe('user:alice');
    expect(user.readsUser).toBe(true);
    expect(user.forms.flat()).toHaveLength(2);
    expect(setUpKey('ip').readsUser).toBe(false);
  });

  test.each<[string, (context: Caller) => Awaitable<string | null | undefined>, string | null]>([
    ['an identity', ({ userId }) => `tenant ${userId}`, 'key:tenant%20alice'],
    ['a promise of one', async () => 'acme', 'key:acme'],
    ['null, which skips the limit', () => null, null],
    ['undefined, which charges the address', async () => undefined, 'ip:203.0.113.7'],
  ])('a function returns %s', async (_what, key, identity) => {
    const { identify, reports, readsUser, forms } = setUpKey(key);
    expect(await identify(caller)).toBe(identity);
    expect([reports, readsUser, forms]).toEqual([[], false, []]);
  });

  test.each<[string, unknown]>([
    ['an empty text', ''],
    ['a number', 42],
    ['an object', {}],
  ])('%s is no identity: the address is charged', async (_what, value) => {
    const { identify, reports } = setUpKey((async () => value) as () => Promise<string>);
    expect(await identify(caller)).toBe('ip:203.0.113.7');
    const message = `The key function returned no identity, so the client's address is charged.`;
    expect(reports).toEqual([['Shop.get', message, value]]);
  });

  test.each([
    ['throws', fail],
    ['rejects', failLater],
  ])('where a function %s, the address is charged', async (_what, key) => {
    const { identify, reports } = setUpKey(key);
    expect(await identify(caller)).toBe('ip:203.0.113.7');
    const message = `The key function failed, so the client's address is charged.`;
    expect(reports).toEqual([['Shop.get', message, error]]);
  });

  test('a class is instantiated by the application, and asked like a function', async () => {
    class TenantKey {
      constructor(readonly prefix: string) {}
      resolveKey({ userId }: Caller) {
        return userId === null ? null : `${this.prefix}-${userId}`;
      }
    }
    const { report, reports } = setUp();
    const sources: string[] = [];
    const { identify } = compileKeyRule<Caller>(TenantKey, 'Shop.get', {
      hash,
      isKeyed: true,
      report,
      resolve: (type, source) => {
        sources.push(source);
        return async () => new (type as unknown as typeof TenantKey)('t') as never;
      },
    });
    expect(await identify(caller)).toBe('key:t-alice');
    expect(await identify({ ...caller, userId: null })).toBeNull();
    expect([sources, reports]).toEqual([['Shop.get'], []]);
  });

  test.each<[unknown, string]>([
    [42, '[bad-key] 42 is not a key. Give a text'],
    [['ip'], '[bad-key] a list is not a key.'],
    ['usr', '[bad-key]'],
  ])('%j is no key', (key, text) => {
    expect(() => setUpKey(key as 'ip')).toThrow(text);
  });
});

describe('costs', () => {
  const { reports, report } = setUp();
  afterEach(() => reports.splice(0));

  test('the default is 1, and a number is known at start-up', () => {
    expect(compileCost({ cost: undefined }, { source: 'Shop.get', report })).toBe(1);
    expect([0, 5].map((cost) => compileCost({ cost }, { source: 'Shop.get', report }))).toEqual([0, 5]);
  });

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', null])(
    '%p cannot be charged',
    (cost) => {
      expect(() => compileCost({ cost: cost as number }, { source: 'Shop.get', report })).toThrow(
        RateLimitConfigError,
      );
      expect(() => compileCost({ cost: cost as number }, { source: 'Shop.get', report })).toThrow(
        'cannot be charged.',
      );
    },
  );

  const costOf = (cost: CostFunction<Caller>): Promise<number> => {
    const compiled = compileCost({ cost }, { source: 'Shop.get', report });
    if (typeof compiled === 'number') throw new Error('It is a number.');
    return compiled(caller);
  };

  test('a function is asked for each request', async () => {
    expect(await costOf(({ userId }) => (userId === 'alice' ? 3 : 1))).toBe(3);
    expect(await costOf(async () => 0)).toBe(0);
    expect(reports).toEqual([]);
  });

  test.each([-1, 1.5, Number.NaN, '5', undefined])('a function that returns %p costs 1', async (units) => {
    expect(await costOf(() => units as number)).toBe(1);
    const message = 'The cost is not a whole number of 0 or more, so it counts as 1.';
    expect(reports).toEqual([['Shop.get', message, units]]);
  });

  test.each([
    ['throws', fail],
    ['rejects', failLater],
  ])('a function that %s costs 1', async (_what, cost) => {
    expect(await costOf(cost)).toBe(1);
    expect(reports).toEqual([['Shop.get', 'The cost function failed, so the request costs 1.', error]]);
  });

  test('a cost that comes with a request is checked in the same way', () => {
    expect(validCostOrOne(5, 'mail', report)).toBe(5);
    expect(reports).toEqual([]);
    expect(validCostOrOne(-5, 'mail', report)).toBe(1);
    const message = 'The cost is not a whole number of 0 or more, so it counts as 1.';
    expect(reports).toEqual([['mail', message, -5]]);
  });
});

describe('methods', () => {
  test('without them a limit applies to all calls', () => {
    expect(compileMethods({ methods: undefined })).toBeNull();
  });

  test.each<[string[], string, boolean]>([
    [['GET'], 'GET', true],
    [['GET'], 'HEAD', true],
    [['HEAD'], 'GET', false],
    [['POST', 'PUT'], 'PUT', true],
    [['POST', 'PUT'], 'HEAD', false],
    [['DELETE'], 'OPTIONS', false],
  ])('methods %j and a %s', (methods, method, expected) => {
    expect(compileMethods({ methods })?.has(method)).toBe(expected);
  });

  test('methods that name none would leave the limit out, which is an error', () => {
    expect(() => compileMethods({ methods: [] })).toThrow(
      '[bad-option] methods is empty, so the limit would never apply. Name the methods, or leave it out',
    );
    expect(() => compileMethods({ methods: [undefined as never] })).toThrow('methods cannot hold undefined.');
    expect(() => compileMethods({ methods: ['get'] })).toThrow('methods cannot hold "get".');
  });
});

describe('conditions', () => {
  const setUpCondition = (options: {
    when?: ConditionFunction<Caller> | undefined;
    skipIf?: ConditionFunction<Caller> | undefined;
  }) => {
    const { reports, report } = setUp();
    const condition = compileCondition(options, { source: 'Shop.get', report });
    return { reports, applies: () => condition?.(caller) };
  };

  test('none is no condition', () => {
    expect(compileCondition({}, { source: 'Shop.get', report: fail })).toBeNull();
    expect(
      compileCondition({ when: undefined, skipIf: undefined }, { source: 'Shop.get', report: fail }),
    ).toBeNull();
  });

  test.each<[boolean | undefined, boolean | undefined, boolean]>([
    [true, undefined, true],
    [false, undefined, false],
    [undefined, true, false],
    [undefined, false, true],
    [true, false, true],
    [true, true, false],
    [false, false, false],
  ])('when %p and skipIf %p: %p', async (when, skipIf, expected) => {
    const toFunction = (value: boolean | undefined) => (value === undefined ? undefined : async () => value);
    const { applies, reports } = setUpCondition({ when: toFunction(when), skipIf: toFunction(skipIf) });
    expect(await applies()).toBe(expected);
    expect(reports).toEqual([]);
  });

  test('skipIf is not called for a request that when has excluded', async () => {
    let calls = 0;
    const skipIf = () => ++calls > 0;
    expect(await setUpCondition({ when: () => false, skipIf }).applies()).toBe(false);
    expect(calls).toBe(0);
    expect(await setUpCondition({ when: () => true, skipIf }).applies()).toBe(false);
    expect(calls).toBe(1);
  });

  test.each([
    ['throws', fail],
    ['rejects', failLater],
  ])('where one %s, the limit applies, and the other one still counts', async (_what, call) => {
    const when = ['Shop.get', 'The when function failed, so the limit applies.', error];
    const skipIf = ['Shop.get', 'The skipIf function failed, so the limit applies.', error];
    for (const [options, expected, reports] of [
      [{ when: call }, true, [when]],
      [{ skipIf: call }, true, [skipIf]],
      [{ when: call, skipIf: () => true }, false, [when]],
      [{ when: () => false, skipIf: call }, false, []],
      [{ when: call, skipIf: call }, true, [when, skipIf]],
    ] as const) {
      const condition = setUpCondition(options);
      expect(await condition.applies()).toBe(expected);
      expect(condition.reports).toEqual(reports);
    }
  });
});

describe('countWhen', () => {
  const setUpCount = (countWhen: CountFunction<Caller>) => {
    const { reports, report } = setUp();
    const counts = compileCountWhen({ countWhen }, { source: 'Shop.get', report });
    return { reports, counts: (status: number) => counts?.(caller, { status }) };
  };

  test('without it every call counts', () => {
    expect(compileCountWhen({}, { source: 'Shop.get', report: fail })).toBeNull();
  });

  test('it sees the context and the result', async () => {
    const { counts, reports } = setUpCount(({ userId }, { status }) => userId === 'alice' && status === 401);
    expect([await counts(401), await counts(200)]).toEqual([true, false]);
    expect(reports).toEqual([]);
  });

  test.each([undefined, null, 0, 'no'])('where it returns %p, the charge stays', async (value) => {
    const { counts, reports } = setUpCount((async () => value) as unknown as CountFunction<Caller>);
    expect(await counts(200)).toBe(true);
    const message = 'The countWhen function returned no boolean, so the charge stays.';
    expect(reports).toEqual([['Shop.get', message, value]]);
  });

  test.each([
    ['throws', fail],
    ['rejects', failLater],
  ])('where it %s, the charge stays', async (_what, countWhen) => {
    const { counts, reports } = setUpCount(countWhen);
    expect(await counts(200)).toBe(true);
    expect(reports).toEqual([['Shop.get', 'The countWhen function failed, so the charge stays.', error]]);
  });
});
