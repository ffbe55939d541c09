import fc from 'fast-check';
import { type Caller } from '../../../lib/identity/caller.js';
import { createHasher } from '../../../lib/identity/hash.js';
import { compileKey } from '../../../lib/identity/key.js';
import { formatIdentity } from '../../../lib/identity/key-forms.js';

const caller = (given: Partial<Caller> & { headers?: Record<string, string> } = {}): Caller => ({
  address: '203.0.113.7',
  authenticated: false,
  userId: null,
  method: 'GET',
  value: (source, name) => (source === 'header' ? given.headers?.[name] : undefined),
  ...given,
});
const user = { authenticated: true, userId: '42' };
const hash = createHasher('secret');
const hashed = (value: string) => `header:x-api-key:${hash(value)}`;

const find = (key: string, who: Caller, said: string[] = []) =>
  compileKey(key, { hash, isKeyed: true, report: (what) => said.push(what) }).identify(who);

describe('keys', () => {
  test.each([
    ['ip', caller(), 'ip:203.0.113.7'],
    ['ip', caller({ address: '2001:db8::/64' }), 'ip:2001:db8::/64'],
    ['user', caller(user), 'user:42'],
    ['user', caller(), null],
    ['anon', caller(), 'ip:203.0.113.7'],
    ['anon', caller(user), null],
    ['global', caller(user), 'global'],
    ['header:x-api-key', caller({ headers: { 'x-api-key': 'k1' } }), hashed('k1')],
    ['header:X-API-Key', caller({ headers: { 'x-api-key': 'k1' } }), hashed('k1')],
    ['header:x-api-key', caller(), 'ip:203.0.113.7'],
    ['header:x-api-key', caller({ headers: { 'x-api-key': '' } }), 'ip:203.0.113.7'],
    ['user|ip', caller(user), 'user:42'],
    ['user|ip', caller(), 'ip:203.0.113.7'],
    ['header:x-api-key|user|ip', caller(user), 'user:42'],
    ['header:x-api-key|user', caller(), 'ip:203.0.113.7'],
    ['header:x-api-key | user', caller(user), 'user:42'],
    ['ip+user', caller(user), 'ip:203.0.113.7+user:42'],
    ['ip+user', caller(), null],
    ['user+ip|anon', caller(), 'ip:203.0.113.7'],
    ['user+header:x-api-key', caller(user), 'ip:203.0.113.7+user:42'],
    ['header:x-api-key+ip', caller({ headers: { 'x-api-key': 'k1' } }), `${hashed('k1')}+ip:203.0.113.7`],
    ['header:x-api-key+ip', caller(), 'ip:203.0.113.7'],
    ['header:x-a+header:x-b', caller(), 'ip:203.0.113.7'],
  ])('%s', (key, who, identity) => {
    const found = find(key, who);
    const sorted = (text: string | null) => text?.split('+').sort().join('+') ?? null;
    expect(sorted(found)).toBe(sorted(identity));
  });

  test('callers without an address share a bucket, and this is reported', () => {
    const said: string[] = [];
    expect(find('ip', caller({ address: null }), said)).toBe('ip:unknown');
    expect(said).toEqual([expect.stringContaining('no address')]);
  });

  test.each([
    ['user', true],
    ['ip+user', true],
    ['header:x|anon', true],
    ['ip', false],
    ['header:user', false],
  ])('readsUser of %s is %p', (key, readsUser) => {
    expect(compileKey(key, { hash, isKeyed: true, report: () => {} }).readsUser).toBe(readsUser);
  });

  test('different values have different identities', () => {
    const value = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.string({
        minLength: 60,
        maxLength: 70,
        unit: fc.constantFrom('a', '+', '%', '~', ':', '{', '}', ' '),
      }),
      fc.string({ minLength: 1, unit: fc.constantFrom('%', '2', '5', 'B', '+', ':', 'i', 'p', '~') }),
    );
    fc.assert(
      fc.property(value, value, value, value, (a, b, c, d) => {
        const first = `${formatIdentity('user', a, hash)}+${formatIdentity('key', b, hash)}`;
        const second = `${formatIdentity('user', c, hash)}+${formatIdentity('key', d, hash)}`;
        return (first === second) === (a === c && b === d);
      }),
      { numRuns: 20_000 },
    );
  });

  test('the length of an identity is bounded', () => {
    for (const length of [65, 1_000, 1_000_000]) {
      expect(formatIdentity('user', '%'.repeat(length), hash)).toHaveLength('user:~'.length + 22);
    }
  });
});
