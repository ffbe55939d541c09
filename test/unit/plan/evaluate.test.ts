import type { RateLimitContext } from '../../../lib/nest/context/call-context.js';
import { evaluate, type IdentityResolver } from '../../../lib/plan/evaluate.js';
import { UnknownRateError } from '../../../lib/plan/rate-source.js';
import { httpContext } from '../../support/contexts.js';
import { type TestLimitOptions, testLimit } from '../../support/limits.js';

const byKey: IdentityResolver<RateLimitContext> = (context, limit) => limit.identify(context);

const setUp = (request: object = {}) => {
  const reports: string[] = [];
  const report = (source: string, message: string) => void reports.push(`${source}: ${message}`);
  const limit = (name: string, options: TestLimitOptions) =>
    testLimit(name, options, {}, { report, tier: ({ user }) => user?.tier });
  const context = httpContext({ method: 'GET', ip: '203.0.113.7', ...request });
  const charges = async (limits: ReturnType<typeof limit>[], identityOf = byKey) =>
    (await evaluate(limits, context, identityOf)).map(
      ({ policy, identity, cost }) => `${policy.name} ${policy.limit} ${identity} ${cost}`,
    );
  return { reports, limit, context, charges };
};

/** A promise, and how to resolve it. */
const deferred = <T>() => {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
};

describe('charges', () => {
  test('of every kind of limit, in the order of the limits', async () => {
    const { limit, charges, reports } = setUp({ user: { id: 'bob', tier: 'pro' } });
    const slow = deferred<string>();
    const charged = charges([
      limit('slow', { rate: '1/min', key: () => slow.promise }),
      limit('plain', { rate: '2/min', cost: 2 }),
      limit('tiers', { rate: { pro: '3/min', default: '1/min' }, key: 'user' }),
      limit('rate', { rate: async ({ userId }) => (userId === 'bob' ? '4/min' : '1/min') }),
      limit('cost', { rate: '5/min', cost: ({ user }) => (user?.tier === 'pro' ? 5 : 1) }),
    ]);
    setImmediate(() => slow.resolve('last'));
    expect(await charged).toEqual([
      'slow 1 key:last 1',
      'plain 2 ip:203.0.113.7 2',
      'tiers 3 user:bob 1',
      'rate 4 ip:203.0.113.7 1',
      'cost 5 ip:203.0.113.7 5',
    ]);
    expect(reports).toEqual([]);
  });

  test('carry what the store needs besides', async () => {
    const { limit, context } = setUp();
    const [charge, ...others] = await evaluate(
      [limit('all', { rate: '5/min', shadow: true, block: ['1min', '1h'] })],
      context,
      byKey,
    );
    expect(charge).toMatchObject({ shadow: true, blockDurationsMs: [60_000, 3_600_000] });
    expect(others).toEqual([]);
  });

  test.each<[string, TestLimitOptions]>([
    ['whose key returns null', { rate: '1/min', key: async () => null }],
    ['whose key needs a user', { rate: '1/min', key: 'user' }],
    ['whose rate is null', { rate: () => null }],
    ['whose rate is unlimited', { rate: async () => 'unlimited' as const }],
    ['whose tier is unlimited', { rate: { default: 'unlimited' } }],
    ['of another method', { rate: '1/min', methods: ['POST'] }],
    ['whose when is false', { rate: '1/min', when: () => false }],
    ['whose skipIf is true', { rate: '1/min', skipIf: async () => true }],
  ])('there is none for a limit %s', async (_what, options) => {
    const { limit, charges, reports } = setUp();
    expect(await charges([limit('skipped', options), limit('last', { rate: '9/min' })])).toEqual([
      'last 9 ip:203.0.113.7 1',
    ]);
    expect(reports).toEqual([]);
  });

  test('a call without a method is charged by no limit with methods', async () => {
    const { limit, charges } = setUp({ method: undefined });
    expect(await charges([limit('get', { rate: '1/min', methods: ['GET', 'POST'] })])).toEqual([]);
  });

  test('an excluded request is not asked about further', async () => {
    const calls: string[] = [];
    const note = (name: string) => () => {
      calls.push(name);
      return 1;
    };
    const rate = () => {
      calls.push('rate');
      return '1/min' as const;
    };
    const key = () => {
      calls.push('key');
      return null;
    };
    const { limit, charges } = setUp();
    await charges([
      limit('method', {
        rate,
        key,
        cost: note('cost'),
        methods: ['POST'],
        when: () => calls.push('when') > 0,
      }),
      limit('when', { rate, key, cost: note('cost'), when: () => false }),
    ]);
    expect(calls).toEqual([]);
    await charges([limit('key', { rate, key, cost: note('cost') })]);
    expect(calls).toEqual(['key']);
  });

  test("a guard's own identity goes before the key", async () => {
    const { limit, charges } = setUp();
    const limits = [limit('a', { rate: '1/min' }), limit('b', { rate: '2/min' })];
    const identityOf: IdentityResolver<RateLimitContext> = async (context, { name }) =>
      name === 'a' ? `tenant:${context.method}` : null;
    expect(await charges(limits, identityOf)).toEqual(['a 1 tenant:GET 1']);
  });
});

test('functions of different limits are asked at the same time', async () => {
  const { limit, charges } = setUp();
  const [rate, key, cost, when, skipIf] = [
    deferred<'1/min'>(),
    deferred<string>(),
    deferred<number>(),
    deferred<boolean>(),
    deferred<boolean>(),
  ];
  const calls: string[] = [];
  const wait =
    <T>(name: string, { promise }: { readonly promise: Promise<T> }) =>
    () => {
      calls.push(name);
      return promise;
    };
  const charged = charges([
    limit('rate', { rate: wait('rate', rate) }),
    limit('key', { rate: '2/min', key: wait('key', key) }),
    limit('cost', { rate: '3/min', cost: wait('cost', cost) }),
    limit('when', { rate: '4/min', when: wait('when', when) }),
    limit('skipIf', { rate: '5/min', skipIf: wait('skipIf', skipIf) }),
    limit('both', { rate: wait('rate', rate), cost: wait('cost', cost) }),
  ]);
  await new Promise(setImmediate);
  expect(calls.sort()).toEqual(['cost', 'cost', 'key', 'rate', 'rate', 'skipIf', 'when']);
  skipIf.resolve(false);
  when.resolve(true);
  cost.resolve(2);
  key.resolve('a');
  rate.resolve('1/min');
  expect((await charged).map((charge) => charge.split(' ')[0])).toEqual([
    'rate',
    'key',
    'cost',
    'when',
    'skipIf',
    'both',
  ]);
});

describe('rates that fail', () => {
  const fail = (): never => {
    throw new Error('no database');
  };

  test.each<[string, TestLimitOptions['rate']]>([
    ['throws', fail],
    ['rejects', async () => fail()],
    ['is undefined', () => undefined as never],
    ['is no rate', async () => 'many' as never],
  ])('a request whose rate %s cannot be decided', async (_what, rate) => {
    const { reports, limit, charges } = setUp();
    const limits = [limit('first', { rate: '5/min' }), limit('fails', { rate })];
    await expect(charges(limits)).rejects.toThrow(UnknownRateError);
    expect(reports).toEqual([
      'Shop.fails: The rate function returned no rate, so the request cannot be decided.',
    ]);
  });

  test('also where the cost fails too, and no rejection escapes', async () => {
    const { reports, limit, charges } = setUp();
    const limits = [
      limit('fails', { rate: fail, cost: fail }),
      limit('also', { rate: async () => fail(), cost: async () => fail() }),
    ];
    await expect(charges(limits)).rejects.toThrow(UnknownRateError);
    await new Promise(setImmediate);
    expect(reports.sort()).toEqual([
      'Shop.also: The cost function failed, so the request costs 1.',
      'Shop.also: The rate function returned no rate, so the request cannot be decided.',
      'Shop.fails: The cost function failed, so the request costs 1.',
      'Shop.fails: The rate function returned no rate, so the request cannot be decided.',
    ]);
  });

  test.each<[string, Partial<TestLimitOptions>]>([
    ['that only reports', { shadow: true }],
    ['that fails open', { failMode: 'open' }],
  ])('a limit %s keeps no request from being decided', async (_what, options) => {
    const { reports, limit, charges } = setUp();
    const limits = [limit('first', { rate: '5/min' }), limit('fails', { rate: fail, ...options })];
    expect(await charges(limits)).toEqual(['first 5 ip:203.0.113.7 1']);
    expect(reports).toEqual(['Shop.fails: The rate function returned no rate, so the limit is left out.']);
  });
});
