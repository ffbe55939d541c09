import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import fc from 'fast-check';
import { compileTrustProxy, type TrustProxy } from '../../../lib/identity/proxies.js';

const proxy = '10.0.0.1';

describe('the walk over X-Forwarded-For', () => {
  test.each<[TrustProxy, string | undefined, string]>([
    [1, '1.1.1.1, 2.2.2.2', '2.2.2.2'],
    [1, undefined, proxy],
    [1, '', proxy],
    [0, '2.2.2.2', proxy],
    [2, '1.1.1.1, 2.2.2.2', '1.1.1.1'],
    [9, '1.1.1.1, 2.2.2.2', '1.1.1.1'],
    ['10.0.0.0/8', '1.1.1.1, 2.2.2.2', '2.2.2.2'],
    ['10.0.0.0/8', '1.1.1.1, 10.9.9.9', '1.1.1.1'],
    ['10.0.0.0/8', '1.1.1.1, 2.2.2.2, 10.9.9.9', '2.2.2.2'],
    ['10.0.0.0/8', '10.1.1.1, 2.2.2.2', '2.2.2.2'],
    ['10.0.0.0/8', '10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['192.168.0.0/16', '2.2.2.2', proxy],
    [['192.168.0.0/16', proxy], '2.2.2.2', '2.2.2.2'],
    [1, '1.1.1.1, garbage', proxy],
    [2, '1.1.1.1, garbage, 10.9.9.9', '10.9.9.9'],
    [1, '2.2.2.2:8080', '2.2.2.2'],
    [1, '[2001:db8::1]:8080', '2001:db8::1'],
    [1, '[2001:db8::1]', '2001:db8::1'],
    [1, '2001:db8::1', '2001:db8::1'],
    [1, '2.2.2.2:', proxy],
    [1, '[2.2.2.2', proxy],
  ])('trusting %j, %s comes from %s', (trust, header, address) => {
    expect(compileTrustProxy(trust)(proxy, header)).toBe(address);
  });

  test('a peer without an address is a hop as any, and in no network', () => {
    expect(compileTrustProxy(1)(undefined, '1.1.1.1, 2.2.2.2')).toBe('2.2.2.2');
    expect(compileTrustProxy(0)(undefined, '2.2.2.2')).toBeUndefined();
    expect(compileTrustProxy(['0.0.0.0/0', '::/0'])(undefined, '2.2.2.2')).toBeUndefined();
    expect(compileTrustProxy(1)(undefined, 'garbage')).toBeUndefined();
  });

  test('at most a hundred hops are gone past', () => {
    const header = ['9.9.9.9', ...Array.from({ length: 100 }, () => '10.0.0.2')].join();
    expect(compileTrustProxy('10.0.0.0/8')(proxy, header)).toBe('10.0.0.2');
    expect(compileTrustProxy('10.0.0.0/8')(proxy, header.replace('10.0.0.2,', ''))).toBe('9.9.9.9');
  });

  test('any header gives an address, and entries left of it change nothing', () => {
    const hop = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ maxLength: 12 }),
      fc.constantFrom('', '10.0.0.9', '10.0.0.9:80'),
    );
    const walks = [compileTrustProxy(1), compileTrustProxy(['10.0.0.0/8'])];
    fc.assert(
      fc.property(fc.array(hop, { maxLength: 6 }), fc.string(), fc.ipV4(), (hops, left, last) => {
        for (const walk of walks) {
          assert.notEqual(isIP(walk(proxy, hops.join(', ')) ?? ''), 0);
          fc.pre(!last.startsWith('10.'));
          assert.equal(walk(proxy, `${left}, ${hops.join()}, ${last}`), last);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
