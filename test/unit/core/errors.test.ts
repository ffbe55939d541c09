import { describeValue } from '../../../lib/core/errors.js';

class Session {
  token = 'hunter2';
}

describe('values in errors and logs', () => {
  test.each<[string, unknown, string]>([
    ['a text', 'a value', '"a value"'],
    ['an empty text', '', '""'],
    ['an escape code', '\u001b[2J', '"\\u001b[2J"'],
    ['quotes', '" It is fine. "', '"\\" It is fine. \\""'],
    ['several lines', 'a\nERROR forged\r\tb', '"a\\nERROR forged\\r\\tb"'],
    ['a long text', 'x'.repeat(1_000_000), `"${'x'.repeat(100)}"`],
    ['a number', 42, '42'],
    ['no number', Number.NaN, 'NaN'],
    ['a bigint', 42n, '42'],
    ['true', true, 'true'],
    ['null', null, 'null'],
    ['undefined', undefined, 'undefined'],
    ['a symbol', Symbol('id'), 'Symbol(id)'],
    ['a function', () => 'hunter2', 'a function'],
    ['a class', Session, 'a function'],
    ['a list', ['hunter2'], 'a list'],
    ['an object, by its keys', { user: 'alice', password: 'hunter2' }, '{ user, password }'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{ a }'],
    ['an object that calls itself another', { constructor: 'Session' }, '{ constructor }'],
    ['an instance', new Session(), 'an object of class Session'],
    ['a date', new Date(0), 'an object of class Date'],
    ['a promise', Promise.resolve('hunter2'), 'an object of class Promise'],
  ])('%s', (_what, value, text) => {
    expect(describeValue(value)).toBe(text);
  });

  test('an object: at most ten keys', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i]));
    expect(describeValue(many)).toBe('{ k0, k1, k2, k3, k4, k5, k6, k7, k8, k9 }');
  });

  test('a circular object', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    expect(describeValue(circular)).toBe('{ self }');
  });
});
