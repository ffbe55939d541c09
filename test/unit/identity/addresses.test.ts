import fc from 'fast-check';
import {
  addressNormalizer,
  compileNetworkMatcher,
  memoizeByAddress,
} from '../../../lib/identity/addresses.js';

const heapBytes = (): number => {
  const collect = globalThis.gc;
  if (collect === undefined) throw new Error('start node with --expose-gc');
  collect();
  return process.memoryUsage().heapUsed;
};

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

  test('ipv6Prefix sets the length of the network', () => {
    expect(addressNormalizer(56)('2001:db8:1:2ff::1')).toBe('2001:db8:1:200::/56');
    expect(addressNormalizer(128)('2001:db8::1')).toBe('2001:db8::1/128');
    expect(addressNormalizer(32)('2001:db8::1')).toBe('2001:db8::/32');
  });

  test('the result is the same after many other addresses', () => {
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

  test('any text gives a normalized address or null', () => {
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

describe('memoized addresses', () => {
  test('are computed once', () => {
    const asked: string[] = [];
    const find = memoizeByAddress((address) => {
      asked.push(address);
      return address === '::1';
    });
    expect(['::1', '::2', '::1', '::2'].map(find)).toEqual([true, false, true, false]);
    expect(asked).toEqual(['::1', '::2']);
  });

  test('stay cached while they are used, even among many others', () => {
    const asked: string[] = [];
    const find = memoizeByAddress((address) => {
      asked.push(address);
      return true;
    });
    for (let i = 0; i < 30_000; i++) {
      find(`2001:db8::${i.toString(16)}`);
      find('::1');
    }
    expect(asked.filter((address) => address === '::1')).toHaveLength(1);
    expect(asked).toHaveLength(30_001);
  });

  test('are bounded, and do not retain the headers that they were cut from', () => {
    const isIn = compileNetworkMatcher(['10.0.0.0/8']);
    const networkOf = addressNormalizer(64);
    const rest = 'x'.repeat(2_000);
    const before = heapBytes();
    for (let i = 0; i < 90_000; i++) {
      // Link-local, which is found out first, and no shorter than what V8 would copy by itself.
      const address = `fe80:1234:${(i >> 4).toString(16)}::${(i & 15).toString(16)}`;
      const header = Buffer.from(`${address},${rest}`).toString('latin1');
      const cut = header.slice(0, address.length);
      isIn(cut);
      networkOf(cut);
    }
    expect(heapBytes() - before).toBeLessThan(5_000_000);
    expect([isIn('10.1.2.3'), networkOf('2001:db8::1')]).toEqual([true, '2001:db8::/64']);
  });

  test('exclude long ones: a zone can have any length', () => {
    const isIn = compileNetworkMatcher(['fe80::/10']);
    const rest = 'z'.repeat(10_000);
    const before = heapBytes();
    let found = 0;
    for (let i = 0; i < 5_000; i++) if (isIn(`fe80::1%${i}${rest}`)) found++;
    expect(heapBytes() - before).toBeLessThan(8_000_000);
    expect([found, isIn('10.1.2.3')]).toEqual([5_000, false]);
  });
});

describe('networks', () => {
  test.each<[string, string[], string[]]>([
    [
      '203.0.113.7',
      ['203.0.113.7', '::ffff:203.0.113.7', '::ffff:cb00:7107'],
      ['203.0.113.8', '::cb00:7107'],
    ],
    ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'], ['9.255.255.255', '11.0.0.0']],
    ['10.1.2.3/8', ['10.9.9.9'], ['11.1.2.3']],
    ['0.0.0.0/0', ['1.2.3.4', '255.255.255.255'], ['2001:db8::1', '::1']],
    ['2001:db8::/32', ['2001:db8::1', '2001:DB8:ffff::'], ['2001:db9::', '32.1.13.184']],
    ['2001:db8::1', ['2001:db8::1', '2001:db8:0:0:0:0:0:1'], ['2001:db8::2']],
    ['::ffff:10.0.0.0/104', ['10.1.2.3'], ['11.0.0.1']],
    ['::/0', ['2001:db8::1', '1.2.3.4', '::ffff:1.2.3.4'], []],
    ['::ffff:0:0/95', ['::fffe:1.2.3.4', '255.1.2.3'], ['::fffd:1.2.3.4', '2001:db8::1']],
    ['::/8', ['::1', '9.9.9.9'], ['100::1', '2001:db8::1']],
    ['loopback', ['127.0.0.1', '127.9.9.9', '::1'], ['128.0.0.1', '::2']],
    ['linklocal', ['169.254.1.1', 'fe80::1', 'fe80::1%eth0'], ['169.253.1.1', 'fec0::1']],
    [
      'uniquelocal',
      ['10.1.1.1', '172.31.255.255', '192.168.0.1', 'fd00::1'],
      ['172.32.0.0', '192.169.0.1', 'fe00::1'],
    ],
  ])('%s', (network, inside, outside) => {
    const isIn = compileNetworkMatcher([network]);
    expect(inside.filter((address) => !isIn(address))).toEqual([]);
    expect(outside.filter((address) => isIn(address))).toEqual([]);
  });

  test('a text that is not an address is in no network', () => {
    const isIn = compileNetworkMatcher(['0.0.0.0/0', '::/0']);
    for (const text of [undefined, null, '', 'garbage', '1.2.3', '1.2.3.4:80', '[::1]', '::%', '1.2.3.4/8'])
      expect([text, isIn(text)]).toEqual([text, false]);
  });

  test('several networks and an empty list', () => {
    const isIn = compileNetworkMatcher(['10.0.0.0/8', 'fd00::/8', '203.0.113.7']);
    expect(['10.1.1.1', 'fd12::1', '203.0.113.7', '203.0.113.8'].map(isIn)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(compileNetworkMatcher([])('10.1.1.1')).toBe(false);
  });

  test.each([
    '',
    'somewhere',
    'Loopback',
    'constructor',
    '__proto__',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/255.0.0.0',
    '10.0.0.0/8/8',
    '10/8',
    '10.1',
    '010.0.0.1',
    '0x7f000001',
    ' 10.0.0.1',
    '::/129',
    '10.0.0.1:80',
    undefined,
    null,
    10,
    {},
  ])('%p is an error', (text) => {
    expect(() => compileNetworkMatcher([text as string])).toThrow('[bad-address]');
  });
});
