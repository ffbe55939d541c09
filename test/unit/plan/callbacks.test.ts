import { setImmediate } from 'node:timers/promises';
import type { Awaitable } from '../../../lib/core/awaitable.js';
import * as callbacks from '../../../lib/plan/callbacks.js';
import { type CallbackRules, INVALID, oncePerContext } from '../../../lib/plan/callbacks.js';

interface Context {
  readonly name: string;
}

type Wrap<Result> = (
  call: (context: Context) => unknown,
  rules: CallbackRules<[Context], number>,
) => (context: Context) => Result;
const callback: Wrap<Promise<number>> = callbacks.callback;
const syncCallback: Wrap<number> = callbacks.syncCallback;

const alice: Context = { name: 'alice' };
const error = new Error('no database');
const fail = (): never => {
  throw error;
};

/** Rules that accept numbers and fall back to -1, and what they have reported. */
const setUp = (changes: Partial<CallbackRules<[Context], number>> = {}) => {
  const reports: unknown[][] = [];
  const rules: CallbackRules<[Context], number> = {
    source: 'Shop.get',
    report: (...report) => reports.push(report),
    failed: 'It failed.',
    invalid: 'It returned no number.',
    check: (value) => (typeof value === 'number' ? value : INVALID),
    fallback: () => -1,
    ...changes,
  };
  return { rules, reports };
};

const FAILED = [['Shop.get', 'It failed.', error]];

/** A promise as some query builders return it: it has only `then`. */
const thenable = (then: (resolve: (value: unknown) => void, reject: (reason: unknown) => void) => void) => ({
  then,
});

describe.each<[string, Wrap<Awaitable<number>>]>([
  ['callback', callback],
  ['syncCallback', syncCallback],
])('%s', (_name, wrap) => {
  test('a check that throws counts as a failure of the function', async () => {
    const { rules, reports } = setUp({ check: fail });
    expect(await wrap(() => 1, rules)(alice)).toBe(-1);
    expect(reports).toEqual(FAILED);
  });

  test('without rules.invalid, an invalid value is reported as a failure', async () => {
    const { rules, reports } = setUp();
    const { invalid: _, ...others } = rules;
    expect(await wrap(() => undefined, others)(alice)).toBe(-1);
    expect(reports).toEqual([['Shop.get', 'It failed.', undefined]]);
  });

  test('an error of the fallback is thrown after the report', async () => {
    const undecided = new Error('undecided');
    const { rules, reports } = setUp({
      fallback: () => {
        throw undecided;
      },
    });
    await expect(async () => wrap(fail, rules)(alice)).rejects.toBe(undecided);
    await expect(async () => wrap(() => 'many', rules)(alice)).rejects.toBe(undecided);
    expect(reports).toEqual([...FAILED, ['Shop.get', 'It returned no number.', 'many']]);
  });
});

describe('callback', () => {
  test.each<[string, () => unknown]>([
    ['a promise', () => Promise.resolve(7)],
    ['a thenable', () => thenable((resolve) => resolve(7))],
  ])('waits for %s', async (_what, call) => {
    const { rules, reports } = setUp();
    expect(await callback(call, rules)(alice)).toBe(7);
    expect(reports).toEqual([]);
  });

  test.each<[string, () => unknown]>([
    ['a promise', () => Promise.reject(error)],
    ['a thenable', () => thenable((_resolve, reject) => reject(error))],
    ['a thenable that throws', () => thenable(fail)],
  ])('%s that rejects is a failure', async (_what, call) => {
    const { rules, reports } = setUp();
    expect(await callback(call, rules)(alice)).toBe(-1);
    expect(reports).toEqual(FAILED);
  });
});

describe('syncCallback', () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  beforeAll(() => process.on('unhandledRejection', note));
  afterAll(() => process.off('unhandledRejection', note));

  test('returns without a promise', () => {
    const { rules } = setUp();
    expect(syncCallback(() => 7, rules)(alice)).toBe(7);
    expect(syncCallback(fail, rules)(alice)).toBe(-1);
  });

  test('a promise is invalid, even if the check would accept it', async () => {
    const { rules, reports } = setUp({ check: () => 7 });
    expect(syncCallback(() => Promise.resolve(7), rules)(alice)).toBe(-1);
    await setImmediate();
    expect(reports).toEqual([['Shop.get', 'It returned no number.', undefined]]);
  });

  test.each<[string, () => unknown]>([
    ['a promise', () => Promise.reject(error)],
    ['a thenable', () => thenable((_resolve, reject) => reject(error))],
    ['a thenable that throws', () => thenable(fail)],
  ])('%s that rejects is reported as well, and no rejection escapes', async (_what, call) => {
    let fallbacks = 0;
    const { rules, reports } = setUp({ fallback: () => --fallbacks });
    expect(syncCallback(call, rules)(alice)).toBe(-1);
    await setImmediate();
    expect(reports.map(([, message]) => message)).toEqual(['It returned no number.', 'It failed.']);
    expect([fallbacks, unhandled]).toEqual([-1, []]);
  });

  test('no rejection escapes if the fallback throws', async () => {
    const { rules, reports } = setUp({ fallback: fail });
    expect(() => syncCallback(() => Promise.reject(error), rules)(alice)).toThrow(error);
    await setImmediate();
    expect(reports.map(([, message]) => message)).toEqual(['It returned no number.', 'It failed.']);
    expect(unhandled).toEqual([]);
  });
});

describe('oncePerContext', () => {
  test('calls a function that returns nothing once for each context', () => {
    let calls = 0;
    const nothing = oncePerContext((_context: Context) => {
      calls++;
    });
    nothing(alice);
    nothing(alice);
    expect(calls).toBe(1);
  });
});
