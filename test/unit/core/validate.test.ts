import { RateLimitConfigError } from '../../../lib/core/errors.js';
import { areOptions, BOOLEAN, validateOptions, wholeNumber } from '../../../lib/core/validate.js';

const RULES = { enabled: BOOLEAN, size: wholeNumber(1, 9), custom: null };

const messagesOf = (options: unknown, hint?: string): readonly string[] => {
  try {
    validateOptions(options, RULES, 'Thing', hint);
    return [];
  } catch (error) {
    if (!(error instanceof RateLimitConfigError)) throw error;
    return error.problems.map(({ code, source, message, fix }) => `[${code}] ${source}: ${message} ${fix}`);
  }
};

test.each([
  {},
  { enabled: true, size: 9, custom: Symbol('any value') },
  { enabled: undefined, size: undefined, custom: undefined },
])('valid: %p', (options) => {
  expect(messagesOf(options)).toEqual([]);
});

test('one error names every invalid option', () => {
  expect(messagesOf({ enabld: true, enabled: 'yes', size: 10, sise: undefined })).toEqual([
    '[bad-option] Thing: enabled cannot be "yes". Give true or false.',
    '[bad-option] Thing: size cannot be 10. Give a whole number from 1 to 9.',
    '[bad-option] Thing: Unknown options "enabld", "sise". The options are enabled, size, custom.',
  ]);
});

test.each(['constructor', 'toString', '__proto__'])('%s is not an option', (name) => {
  expect(messagesOf(Object.fromEntries([[name, 5]]))).toEqual([
    `[bad-option] Thing: Unknown option "${name}". The options are enabled, size, custom.`,
  ]);
});

test.each([
  [undefined, 'undefined'],
  [null, 'null'],
  ['text', '"text"'],
  [[], 'a list'],
  [() => undefined, 'a function'],
])('%p is not an object of options', (options, described) => {
  expect(messagesOf(options, 'A thing is small.')).toEqual([
    `[bad-option] Thing: Expected an object of options, but got ${described}. Give an object. A thing is small.`,
  ]);
});

test('options within an option', () => {
  const accepts = areOptions(RULES);
  expect([{}, { size: 5 }, { size: undefined }].map(accepts)).toEqual([true, true, true]);
  expect([null, [], { size: 0 }, { sise: 5 }, { constructor: 5 }].map(accepts)).toEqual(Array(5).fill(false));
});
