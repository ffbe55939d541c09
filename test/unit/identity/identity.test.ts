import fc from 'fast-check';
import { addressNormalizer } from '../../../lib/identity/addresses.js';
import { createHasher } from '../../../lib/identity/hash.js';
import { type IdentityInput, normalizeIdentity } from '../../../lib/identity/identity.js';
import { formatIdentity } from '../../../lib/identity/key-forms.js';

const hash = createHasher('secret');
const format = { hash, address: addressNormalizer(64) };
/** As `RateLimiter.consume` takes it. */
const typed = (input: IdentityInput) => normalizeIdentity(input, format, { acceptCanonical: false });
/** As an operator has it, perhaps from a log. */
const canonical = (input: IdentityInput) => normalizeIdentity(input, format, { acceptCanonical: true });

describe('identities', () => {
  test.each([
    ['user:42', 'user:42'],
    ['user:bob+tag@example.org', 'user:bob%2Btag@example.org'],
    ['user:bob%2Btag@example.org', 'user:bob%2Btag@example.org'],
    ['user:100%', 'user:100%25'],
    ['user:a b', 'user:a%20b'],
    ['user:auth0|5f7', 'user:auth0|5f7'],
    ['ip:203.0.113.7', 'ip:203.0.113.7'],
    ['ip:::ffff:203.0.113.7', 'ip:203.0.113.7'],
    ['ip:2001:db8::1', 'ip:2001:db8::/64'],
    ['ip:2001:db8::/64', 'ip:2001:db8::/64'],
    ['ip:unknown', 'ip:unknown'],
    ['ip:203.0.113.7+user:42', 'ip:203.0.113.7+user:42'],
    ['ip:2001:db8::1+user:42', 'ip:2001:db8::/64+user:42'],
    ['global', 'global'],
    ['customer:{42}', 'customer:%7B42%7D'],
    [`user:${'x'.repeat(65)}`, `user:~${hash('x'.repeat(65))}`],
    [`user:~${hash('x'.repeat(65))}`, `user:~${hash('x'.repeat(65))}`],
    [`header:x-api-key:${hash('k1')}`, `header:x-api-key:${hash('k1')}`],
  ])('%s becomes %s', (given, written) => {
    expect(canonical(given)).toBe(written);
  });

  test('canonical identities stay as they are', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (value) => {
        const identity = formatIdentity('user', value, hash);
        return canonical(identity) === identity;
      }),
      { numRuns: 5_000 },
    );
  });

  test('body values are normalized, other values are not', () => {
    expect(typed('body:email:Alice@Example.org')).toBe('body:email:alice@example.org');
    expect(typed('body:email:bob+tag@example.org')).toBe('body:email:bob%2Btag@example.org');
    expect(typed('param:id:Alice')).toBe('param:id:Alice');
    expect(typed('body:email')).toBe('body:email');
  });

  test('consume hashes any secret; operators may also pass its hash', () => {
    const looksHashed = hash('k1');
    for (const source of ['header', 'query', 'cookie']) {
      const words = `${source}:key:${looksHashed}`;
      expect(typed(words)).toBe(`${source}:key:${hash(looksHashed)}`);
      expect(canonical(words)).toBe(words);
      expect(canonical(`${source}:key:k1`)).toBe(words);
    }
    expect(canonical(`header:X-Api-Key:${looksHashed}`)).toBe(`header:x-api-key:${looksHashed}`);
    expect(canonical(`ip:203.0.113.7+header:key:${looksHashed}`)).toBe(
      `ip:203.0.113.7+header:key:${looksHashed}`,
    );
    expect(canonical(`param:id:${looksHashed}`)).toBe(`param:id:${looksHashed}`);
  });

  test('one value is never parsed as two', () => {
    for (const source of ['header', 'query', 'cookie', 'body', 'param'])
      expect(typed(`${source}:name:a+user:1`)).not.toBe(typed([`${source}:name:a`, 'user:1']));
  });
});
