import type { Caller } from '../../../lib/identity/caller.js';
import { compileCondition } from '../../../lib/plan/condition.js';
import type { ConditionOptions } from '../../../lib/plan/options.js';

const caller = (method: string | undefined = 'GET'): Caller => ({
  address: '203.0.113.7',
  authenticated: false,
  userId: null,
  method,
  value: () => undefined,
});
const applies = (options: ConditionOptions<Caller>, who = caller(), said: string[] = []) =>
  compileCondition(options, 'here', (source, message) => said.push(`${source}: ${message}`))?.(who);

describe('conditions', () => {
  test('none is no condition', () => {
    expect(compileCondition({}, 'here', () => undefined)).toBeNull();
    expect(compileCondition({ methods: undefined, when: undefined }, 'here', () => undefined)).toBeNull();
  });

  test.each<[string[], string, boolean]>([
    [['GET'], 'GET', true],
    [['GET'], 'HEAD', true],
    [['HEAD'], 'GET', false],
    [['POST', 'PUT'], 'PUT', true],
    [['POST', 'PUT'], 'HEAD', false],
    [['DELETE'], 'OPTIONS', false],
  ])('methods %j and a %s', (methods, method, expected) => {
    expect(applies({ methods }, caller(method))).toBe(expected);
  });

  test('methods that name none would leave the limit out, which is a mistake', () => {
    expect(() => applies({ methods: [] })).toThrow(
      '[bad-option] methods is empty, so the limit would never apply. Name the methods, or leave it out',
    );
    expect(() => applies({ methods: [undefined as never] })).toThrow('methods cannot hold undefined.');
  });

  test('a call without a method is not counted by methods', () => {
    expect(applies({ methods: ['GET', 'POST'] }, { ...caller(), method: undefined })).toBe(false);
  });

  test('all of them have to hold, at once or later, and none is asked in vain', async () => {
    const asked: string[] = [];
    const of = (when: boolean, skipIf: boolean): ConditionOptions<Caller> => ({
      methods: ['GET'],
      when: async () => when,
      skipIf: () => {
        asked.push('skipIf');
        return skipIf;
      },
    });
    expect(await applies(of(true, false))).toBe(true);
    expect(await applies(of(true, true))).toBe(false);
    expect(asked).toHaveLength(2);
    expect(await applies(of(false, false))).toBe(false);
    expect(await applies(of(true, false), caller('POST'))).toBe(false);
    expect(asked).toHaveLength(2);
  });

  test('what fails is reported, and the limit applies; the other conditions still count', async () => {
    const said: string[] = [];
    const when = () => {
      throw new Error('no');
    };
    expect(applies({ when }, caller(), said)).toBe(true);
    expect(await applies({ skipIf: () => Promise.reject(new Error('no')) }, caller(), said)).toBe(true);
    expect(applies({ when, skipIf: () => true }, caller(), said)).toBe(false);
    expect(said).toEqual([
      'here: The when function failed, so the limit applies.',
      'here: The skipIf function failed, so the limit applies.',
      'here: The when function failed, so the limit applies.',
    ]);
  });
});
