import fc from 'fast-check';
import { addressNormalizer } from '../../../lib/identity/addresses.js';
import { type Caller } from '../../../lib/identity/caller.js';
import { createHasher } from '../../../lib/identity/hash.js';
import { normalizeIdentity } from '../../../lib/identity/identity.js';
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

  test('the value of a header stands nowhere in the identity', () => {
    expect(find('header:x-api-key', caller({ headers: { 'x-api-key': 'sk-live-1' } }))).not.toContain(
      'sk-live-1',
    );
  });

  test('a hash tells nothing without the secret, and is the same under the same secret', () => {
    expect(createHasher('a')('value')).toBe(createHasher('a')('value'));
    expect(createHasher('a')('value')).not.toBe(createHasher('b')('value'));
    expect(createHasher(undefined)('value')).not.toBe(createHasher(undefined)('value'));
    expect(createHasher('a')('value')).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  test('callers without an address share a bucket, and that is reported', () => {
    const said: string[] = [];
    expect(find('ip', caller({ address: null }), said)).toBe('ip:unknown');
    expect(said).toEqual([expect.stringContaining('no address')]);
  });

  test('it needs the user where it asks for the user', () => {
    const needs = (key: string) => compileKey(key, { hash, isKeyed: true, report: () => {} }).readsUser;
    expect(['user', 'anon', 'user|ip', 'ip+user', 'header:x|anon'].map(needs)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
    expect(['ip', 'global', 'header:user', 'header:x-user|ip'].map(needs)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  test('different values never make the same identity', () => {
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
  ])('by hand: %s is written %s', (given, written) => {
    expect(normalizeIdentity(given, { hash, address: addressNormalizer(64) })).toBe(written);
  });

  test('what keys write stays as it is when it is given by hand', () => {
    const form = { hash, address: addressNormalizer(64) };
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (value) => {
        const identity = formatIdentity('user', value, hash);
        return normalizeIdentity(identity, form) === identity;
      }),
      { numRuns: 5_000 },
    );
  });

  test('an identity never grows with what the client sends', () => {
    for (const length of [65, 1_000, 1_000_000]) {
      expect(formatIdentity('user', '%'.repeat(length), hash)).toHaveLength('user:~'.length + 22);
    }
  });
});

describe('addresses', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:CB00:7107', '203.0.113.7'],
    ['2001:db8::1', '2001:db8::/64'],
    ['2001:DB8:0:0:1:2:3:4', '2001:db8::/64'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
    ['::', '::/64'],
    ['', null],
    ['garbage', null],
    ['1.2.3', null],
    ['1.2.3.4.5', null],
    ['01.2.3.4', null],
    ['0x7f.1', null],
    ['1.2.3.4:80', null],
    ['2001:db8::1::2', null],
    [' 1.2.3.4', null],
    [undefined, null],
    [null, null],
  ])('%s is %s', (text, expected) => {
    expect(addressNormalizer(64)(text)).toBe(expected);
  });

  test('the network is as long as configured', () => {
    expect(addressNormalizer(56)('2001:db8:1:2ff::1')).toBe('2001:db8:1:200::/56');
    expect(addressNormalizer(128)('2001:db8::1')).toBe('2001:db8::1/128');
    expect(addressNormalizer(32)('2001:db8::1')).toBe('2001:db8::/32');
  });

  test('an address is the same the second time, and after many others', () => {
    const form = addressNormalizer(64);
    const wrong: unknown[] = [];
    for (let i = 0; i < 25_000; i++) {
      const found = form(`2001:db8:${i.toString(16)}::1`);
      const expected = i === 0 ? '2001:db8::/64' : `2001:db8:${i.toString(16)}::/64`;
      if (found !== expected) wrong.push([found, expected]);
    }
    expect(wrong).toEqual([]);
    expect([form('2001:db8:1::2'), form('2001:db8:1::2')]).toEqual(['2001:db8:1::/64', '2001:db8:1::/64']);
  });

  test('whatever text comes, it is an address of ours or null', () => {
    const parts = fc.array(
      fc.constantFrom('1', '255', '256', ':', '::', '.', 'ffff', '0', 'x', '%', '/', ' '),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6(),
          fc.string(),
          parts.map((list) => list.join('')),
        ),
        (text) => {
          const found = addressNormalizer(64)(text);
          if (found === null) return true;
          const isOurs = /^(\d{1,3}\.){3}\d{1,3}$|^[0-9a-f:]+\/64$/.test(found);
          return isOurs && (found.includes('/') || addressNormalizer(64)(found) === found);
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
