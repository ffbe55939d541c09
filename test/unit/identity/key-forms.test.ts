import fc from 'fast-check';
import { addressNormalizer } from '../../../lib/identity/addresses.js';
import { createHasher } from '../../../lib/identity/hash.js';
import { identityFromInput, normalizeIdentity } from '../../../lib/identity/identity.js';
import { requireSecret, valueIdentity } from '../../../lib/identity/key-forms.js';

const hash = createHasher('secret');
const form = { hash, address: addressNormalizer(64) };
const email = (raw: unknown) => valueIdentity('body', 'email', raw, hash);

/** All of Unicode but surrogates, as the unit `binary` of fast-check, which would list a million of them first. */
const characters = fc.nat({ max: 0x10f7ff }).map(
  (at) => String.fromCodePoint(at < 0xd800 ? at : at + 0x800),
  (character) => {
    const code = (character as string).codePointAt(0) as number;
    return code < 0xd800 ? code : code - 0x800;
  },
);

describe('values of a request', () => {
  test.each(['header', 'query', 'cookie'] as const)(
    'a %s is kept as its hash, as it is written',
    (source) => {
      expect(valueIdentity(source, 'key', 'Secret ', hash)).toBe(`${source}:key:${hash('Secret ')}`);
    },
  );

  test('a param is kept as it is written, and a body as it is meant', () => {
    expect(valueIdentity('param', 'id', ' Alice', hash)).toBe('param:id:%20Alice');
    expect(email(' Alice@Example.org ')).toBe('body:email:alice@example.org');
  });

  test.each([
    [42, 'body:email:42'],
    [-0.5, 'body:email:-0.5'],
    [12n, 'body:email:12'],
    [true, 'body:email:true'],
    ['a b', 'body:email:a%20b'],
    ['a+b', 'body:email:a%2Bb'],
    ['~a', 'body:email:%7Ea'],
    ['ＡＬＩＣＥ', 'body:email:alice'],
  ])('%s', (raw, identity) => {
    expect(email(raw)).toBe(identity);
  });

  test.each([undefined, null, '', ' ', '\n', [], ['a'], {}, { toString: () => 'a' }, Symbol('a'), () => 'a'])(
    'what is no single value is none: %p',
    (raw) => {
      expect(email(raw)).toBeUndefined();
    },
  );

  test('space around a value does not matter, however much of it', () => {
    for (const spaces of [1, 999, 1_000, 100_000])
      expect(email(`${' '.repeat(spaces)}Alice${' '.repeat(spaces)}`)).toBe('body:email:alice');
  });

  test('a value of any length is a short identity, and other values are others', () => {
    for (const length of [65, 1_000, 1_001, 1_000_000])
      expect(email('x'.repeat(length))).toBe(`body:email:~${hash('x'.repeat(length))}`);
    expect(email('x'.repeat(64))).toBe(`body:email:${'x'.repeat(64)}`);
  });

  test('what is meant stays as it is when it is meant again, and case and space never tell two apart', () => {
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 40 }), (text) => {
        const identity = email(text);
        fc.pre(identity !== undefined);
        return (
          email(` ${text}\t`) === identity &&
          email(text.normalize('NFKC').trim().toLowerCase()) === identity &&
          normalizeIdentity(identity as string, form) === identity &&
          identity !== 'body:email:'
        );
      }),
      { numRuns: 5_000 },
    );
  });

  test('by hand, a body is written as it is meant', () => {
    expect(identityFromInput('body:email:Alice@Example.org', form)).toBe('body:email:alice@example.org');
    expect(identityFromInput('body:email:bob+tag@example.org', form)).toBe(
      'body:email:bob%2Btag@example.org',
    );
    expect(identityFromInput('param:id:Alice', form)).toBe('param:id:Alice');
    expect(identityFromInput('body:email', form)).toBe('body:email');
  });

  test('in words a secret is hashed, even one that looks like a hash; an operator may give the hash itself', () => {
    const looksHashed = hash('k1');
    for (const source of ['header', 'query', 'cookie']) {
      const words = `${source}:key:${looksHashed}`;
      expect(identityFromInput(words, form)).toBe(`${source}:key:${hash(looksHashed)}`);
      expect(normalizeIdentity(words, form)).toBe(words);
      expect(normalizeIdentity(`${source}:key:k1`, form)).toBe(words);
    }
    expect(normalizeIdentity(`header:X-Api-Key:${looksHashed}`, form)).toBe(
      `header:x-api-key:${looksHashed}`,
    );
    expect(normalizeIdentity(`ip:203.0.113.7+header:key:${looksHashed}`, form)).toBe(
      `ip:203.0.113.7+header:key:${looksHashed}`,
    );
    expect(normalizeIdentity(`param:id:${looksHashed}`, form)).toBe(`param:id:${looksHashed}`);
  });

  test('by hand, one value never reads as two', () => {
    for (const source of ['header', 'query', 'cookie', 'body', 'param'])
      expect(identityFromInput(`${source}:name:a+user:1`, form)).not.toBe(
        identityFromInput([`${source}:name:a`, 'user:1'], form),
      );
  });

  test('secrets need a hash that nobody else can make', () => {
    const open = { hash, isKeyed: false };
    for (const source of ['header', 'query', 'cookie'] as const) {
      expect(() => requireSecret(source, open)).toThrow('[no-secret]');
      expect(() => requireSecret(source, { hash, isKeyed: true })).not.toThrow();
    }
    for (const source of ['body', 'param'] as const) expect(() => requireSecret(source, open)).not.toThrow();
  });
});
