import { HyperLogLog } from '../../../../lib/observe/stats/hyperloglog.js';

const address = (at: number): string =>
  `${10 + (at >>> 24)}.${(at >>> 16) & 255}.${(at >>> 8) & 255}.${at & 255}`;

/** Addresses that follow each other, as those of a network do. */
function countedAddresses(count: number, first = 0): HyperLogLog {
  const clients = new HyperLogLog();
  for (let at = first; at < first + count; at++) clients.add(address(at));
  return clients;
}

const STANDARD_ERROR = 0.0081;

test('nobody is nobody, and a few are counted exactly', () => {
  expect(new HyperLogLog().estimate()).toBe(0);
  for (const count of [1, 2, 10, 50]) expect(countedAddresses(count).estimate()).toBe(count);
});

test('the standard error is 0.81 %, from few to many', () => {
  for (const [count, runs] of [
    [500, 200],
    [5_000, 100],
    [20_000, 60],
  ] as const) {
    let squares = 0;
    for (let run = 0; run < runs; run++) {
      const error = countedAddresses(count, run * 100_000).estimate() / count - 1;
      squares += error ** 2;
    }
    // The standard error of 60 runs is itself off by a tenth.
    expect(Math.sqrt(squares / runs)).toBeLessThan(STANDARD_ERROR * 1.2);
  }
});

test('a million is within three standard errors', () => {
  expect(Math.abs(countedAddresses(1_000_000).estimate() / 1_000_000 - 1)).toBeLessThan(3 * STANDARD_ERROR);
});

test('clients that raise no register change nothing, so only the others need to be sent', () => {
  const all = new HyperLogLog();
  const raising = Array.from({ length: 200_000 }, (_, at) => address(at)).filter((client) => all.add(client));
  const sent = new HyperLogLog();
  for (const client of raising) sent.add(client);
  expect(sent.estimate()).toBe(all.estimate());
  expect(raising.length).toBeLessThan(100_000);
  expect(all.add(address(0))).toBe(false);
});
