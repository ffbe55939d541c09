import fc from 'fast-check';
import { addressNormalizer } from '../../../lib/identity/addresses.js';
import type { ValueLocation } from '../../../lib/identity/caller.js';
import { createHasher } from '../../../lib/identity/hash.js';
import { normalizeIdentity } from '../../../lib/identity/identity.js';
import { KEY_FORMS } from '../../../lib/identity/key-forms.js';

const hash = createHasher('secret');
const format = { hash, address: addressNormalizer(64) };
const compilation = { hash, isKeyed: true, report: () => {} };

/** The identity of a value that a request holds at a location. */
const valueIdentity = (location: ValueLocation, name: string, raw: unknown) =>
  KEY_FORMS[location].compile(
    name,
    compilation,
  )({ address: null, authenticated: false, userId: null, method: undefined, value: () => raw });
const email = (raw: unknown) => valueIdentity('body', 'email', raw);

/** All of Unicode but surrogates, as the unit `binary` of fast-check, which would list a million of them first. */
const characters = fc.nat({ max: 0x10f7ff }).map(
  (at) => String.fromCodePoint(at < 0xd800 ? at : at + 0x800),
  (character) => {
    const code = (character as string).codePointAt(0) as number;
    return code < 0xd800 ? code : code - 0x800;
  },
);

describe('values of a request', () => {
  test.each(['header', 'query', 'cookie'] as const)('a %s is hashed without normalization', (source) => {
    expect(valueIdentity(source, 'key', 'Secret ')).toBe(`${source}:key:${hash('Secret ')}`);
  });

  test('a param is kept as it is, and a body value is normalized', () => {
    expect(valueIdentity('param', 'id', ' Alice')).toBe('param:id:%20Alice');
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
    '%p has no value',
    (raw) => {
      expect(email(raw)).toBeUndefined();
    },
  );

  test('any amount of space around a value is ignored', () => {
    for (const spaces of [1, 999, 1_000, 100_000])
      expect(email(`${' '.repeat(spaces)}Alice${' '.repeat(spaces)}`)).toBe('body:email:alice');
  });

  test('long values are hashed to short identities', () => {
    for (const length of [65, 1_000, 1_001, 1_000_000])
      expect(email('x'.repeat(length))).toBe(`body:email:~${hash('x'.repeat(length))}`);
    expect(email('x'.repeat(64))).toBe(`body:email:${'x'.repeat(64)}`);
  });

  test('normalization is idempotent and ignores case and surrounding space', () => {
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 40 }), (text) => {
        const identity = email(text);
        fc.pre(identity !== undefined);
        return (
          email(` ${text}\t`) === identity &&
          email(text.normalize('NFKC').trim().toLowerCase()) === identity &&
          normalizeIdentity(identity as string, format, { acceptCanonical: true }) === identity &&
          identity !== 'body:email:'
        );
      }),
      { numRuns: 5_000 },
    );
  });

  test('keys with secrets need the option secret', () => {
    const compile = (source: ValueLocation, isKeyed: boolean) => () =>
      KEY_FORMS[source].compile('name', { ...compilation, isKeyed });
    for (const source of ['header', 'query', 'cookie'] as const) {
      expect(compile(source, false)).toThrow('[no-secret]');
      expect(compile(source, true)).not.toThrow();
    }
    for (const source of ['body', 'param'] as const) expect(compile(source, false)).not.toThrow();
  });
});
