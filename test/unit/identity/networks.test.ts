import { compileNetworkMatcher } from '../../../lib/identity/addresses.js';

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

  test('what is no address is in none', () => {
    const isIn = compileNetworkMatcher(['0.0.0.0/0', '::/0']);
    for (const text of [undefined, null, '', 'garbage', '1.2.3', '1.2.3.4:80', '[::1]', '::%', '1.2.3.4/8'])
      expect([text, isIn(text)]).toEqual([text, false]);
  });

  test('an address is in one of several networks, and in none of no networks', () => {
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
  ])('%p is a mistake', (text) => {
    expect(() => compileNetworkMatcher([text as string])).toThrow('[bad-address]');
  });
});
