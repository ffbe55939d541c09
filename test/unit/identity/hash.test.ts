import { createHasher } from '../../../lib/identity/hash.js';

test('a hash depends on the value and the secret, and is random without a secret', () => {
  expect(createHasher('a')('value')).toBe(createHasher('a')('value'));
  expect(createHasher('a')('value')).not.toBe(createHasher('b')('value'));
  expect(createHasher(undefined)('value')).not.toBe(createHasher(undefined)('value'));
  expect(createHasher('a')('value')).toMatch(/^[A-Za-z0-9_-]{22}$/);
});
