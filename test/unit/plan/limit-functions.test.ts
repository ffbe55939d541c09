import type { Caller } from '../../../lib/identity/caller.js';
import {
  compileCondition,
  compileCost,
  compileMethods,
  validCostOrOne,
} from '../../../lib/plan/limit-functions.js';
import type { ConditionFunction } from '../../../lib/plan/options.js';

const caller: Caller = {
  address: '203.0.113.7',
  authenticated: true,
  userId: 'alice',
  method: 'GET',
  value: () => undefined,
};
const error = new Error('no database');

const setUp = () => {
  const reports: unknown[][] = [];
  return { reports, report: (...report: unknown[]) => void reports.push(report) };
};

describe('costs', () => {
  const invalid = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '5', null] as number[];

  test.each(invalid)('a limit cannot cost %p', (cost) => {
    expect(() => compileCost({ cost }, { source: 'Shop.get', report: () => {} })).toThrow(
      /^\[bad-cost\].*cannot be charged\./,
    );
  });

  test.each([...invalid, undefined as never])(
    'a request that costs %p costs 1, and this is reported',
    (cost) => {
      const { reports, report } = setUp();
      expect(validCostOrOne(cost, 'mail', report)).toBe(1);
      const message = 'The cost is not a whole number of 0 or more, so it counts as 1.';
      expect(reports).toEqual([['mail', message, cost]]);
    },
  );

  test('a valid cost of a request is not reported', () => {
    const { reports, report } = setUp();
    expect([validCostOrOne(0, 'mail', report), validCostOrOne(5, 'mail', report), reports]).toEqual([
      0,
      5,
      [],
    ]);
  });
});

test.each<[string[] | undefined, string, boolean | undefined]>([
  [undefined, 'GET', undefined],
  [['GET'], 'GET', true],
  [['GET'], 'HEAD', true],
  [['HEAD'], 'GET', false],
  [['POST', 'PUT'], 'PUT', true],
  [['POST', 'PUT'], 'HEAD', false],
  [['DELETE'], 'OPTIONS', false],
])('with methods %j, a limit applies to %s: %p', (methods, method, expected) => {
  expect(compileMethods({ methods })?.has(method)).toBe(expected);
});

describe('conditions', () => {
  type Conditions = Partial<Record<'when' | 'skipIf', ConditionFunction<Caller>>>;
  const evaluate = async (conditions: Conditions) => {
    const { reports, report } = setUp();
    const applies = await compileCondition(conditions, { source: 'Shop.get', report })?.(caller);
    return { applies, reports };
  };

  test('without when and skipIf there is no condition', () => {
    expect(compileCondition({}, { source: 'Shop.get', report: () => {} })).toBeNull();
  });

  test.each<[Conditions, boolean]>([
    [{ when: async () => true, skipIf: async () => false }, true],
    [{ when: async () => true, skipIf: async () => true }, false],
    [{ when: async () => false, skipIf: async () => false }, false],
  ])('when and skipIf together: %#', async (conditions, applies) => {
    expect(await evaluate(conditions)).toEqual({ applies, reports: [] });
  });

  test('skipIf is called only if when is true', async () => {
    let calls = 0;
    const skipIf = () => ++calls > 0;
    expect((await evaluate({ when: () => false, skipIf })).applies).toBe(false);
    expect(calls).toBe(0);
    expect((await evaluate({ when: () => true, skipIf })).applies).toBe(false);
    expect(calls).toBe(1);
  });

  test('if one of them fails, the other one still counts', async () => {
    const fail = (): never => {
      throw error;
    };
    const when = ['Shop.get', 'The when function failed, so the limit applies.', error];
    const skipIf = ['Shop.get', 'The skipIf function failed, so the limit applies.', error];
    for (const [conditions, applies, reports] of [
      [{ when: fail, skipIf: () => true }, false, [when]],
      [{ when: () => false, skipIf: fail }, false, []],
      [{ when: fail, skipIf: fail }, true, [when, skipIf]],
    ] as const)
      expect(await evaluate(conditions)).toEqual({ applies, reports });
  });
});
