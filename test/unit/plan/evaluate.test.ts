import { evaluate } from '../../../lib/plan/evaluate.js';
import { UnknownRateError } from '../../../lib/plan/rate-source.js';
import { httpContext } from '../../support/contexts.js';
import { type TestLimitOptions, testLimit } from '../../support/limits.js';

const setUp = (request: object = {}) => {
  const reports: string[] = [];
  const report = (source: string, message: string) => void reports.push(`${source}: ${message}`);
  const limit = (name: string, options: TestLimitOptions) =>
    testLimit(name, options, {}, { report, tier: ({ user }) => user?.tier });
  const context = httpContext({ method: 'GET', ip: '203.0.113.7', ...request });
  const charges = async (limits: ReturnType<typeof limit>[]) =>
    (await evaluate(limits, context, (_, one) => one.identify(context))).map(
      ({ policy, identity, cost }) => `${policy.name} ${policy.limit} ${identity} ${cost}`,
    );
  return { reports, limit, charges };
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
  test('limits with methods do not apply to a call without a method', async () => {
    const { limit, charges } = setUp({ method: undefined });
    expect(await charges([limit('get', { rate: '1/min', methods: ['GET', 'POST'] })])).toEqual([]);
  });

  test('no other function is called for a request that methods, when or key exclude', async () => {
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
});

test('functions of different limits run concurrently', async () => {
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

  test('if the cost fails too, all errors are reported and no rejection is unhandled', async () => {
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
  ])('a limit %s is left out if its rate fails', async (_what, options) => {
    const { reports, limit, charges } = setUp();
    const limits = [limit('first', { rate: '5/min' }), limit('fails', { rate: fail, ...options })];
    expect(await charges(limits)).toEqual(['first 5 ip:203.0.113.7 1']);
    expect(reports).toEqual(['Shop.fails: The rate function returned no rate, so the limit is left out.']);
  });
});
