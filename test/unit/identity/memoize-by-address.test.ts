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

describe('addresses that were met before', () => {
  test('are found once', () => {
    const asked: string[] = [];
    const find = memoizeByAddress((address) => {
      asked.push(address);
      return address === '::1';
    });
    expect(['::1', '::2', '::1', '::2'].map(find)).toEqual([true, false, true, false]);
    expect(asked).toEqual(['::1', '::2']);
  });

  test('are few, and do not keep the long headers that they came in', () => {
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

  test('are not those of any length: a zone is as long as its sender likes', () => {
    const isIn = compileNetworkMatcher(['fe80::/10']);
    const rest = 'z'.repeat(10_000);
    const before = heapBytes();
    let found = 0;
    for (let i = 0; i < 5_000; i++) if (isIn(`fe80::1%${i}${rest}`)) found++;
    expect(heapBytes() - before).toBeLessThan(8_000_000);
    expect([found, isIn('10.1.2.3')]).toEqual([5_000, false]);
  });
});
