import { HeavyHitters } from '../../../../lib/observe/stats/heavy-hitters.js';
import { randomFrom, zipf } from '../../../support/traffic.mjs';

const counted = (hitters: HeavyHitters, most = 100) =>
  [...hitters.drain(most)].map(([key, { allowed, denied }]) => [key, allowed + denied, denied] as const);

test('few keys are counted exactly, and taken once', () => {
  const hitters = new HeavyHitters(3);
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) hitters.add(key, key === 'b');
  expect(counted(hitters)).toEqual([
    ['a', 3, 0],
    ['b', 2, 2],
    ['c', 1, 0],
  ]);
  expect(counted(hitters)).toEqual([]);
  hitters.add('b', false);
  expect(counted(hitters)).toEqual([['b', 1, 0]]);
});

test('a key that takes the place of another is not counted for what that one did', () => {
  const hitters = new HeavyHitters(2);
  for (const key of ['a', 'a', 'a', 'b', 'b', 'c', 'd', 'd']) hitters.add(key, true);
  // c took the place of b, and d that of a or of c.
  expect(counted(hitters).find(([key]) => key === 'd')).toEqual(['d', 2, 2]);
});

test('only as many are taken as are asked for, the highest', () => {
  const hitters = new HeavyHitters(10);
  for (const key of ['a', 'b', 'b', 'c', 'c', 'c']) hitters.add(key, false);
  expect(counted(hitters, 2)).toEqual([
    ['c', 3, 0],
    ['b', 2, 0],
  ]);
  expect(counted(hitters, 3)).toEqual([['a', 1, 0]]);
});

test('keys that are too long to keep are left out', () => {
  const hitters = new HeavyHitters(10);
  hitters.add('x'.repeat(257), true);
  hitters.add('x'.repeat(256), true);
  expect(counted(hitters)).toEqual([['x'.repeat(256), 1, 1]]);
});

const [COUNT, PLACES] = [500_000, 2_000];

/** What all traffic is drawn from. It takes as long to draw as to count. */
const draws = Float64Array.from({ length: 2 * COUNT }, randomFrom(7));

test.each([
  ['skewed as addresses are', 1.1, 1],
  ['half junk that never comes twice', 1.1, 0.5],
  ['nine tenths junk', 1.1, 0.1],
])('traffic %s: the top 10 are right, and no count is further off than N / places', (_, exponent, share) => {
  let drawn = 0;
  const random = () => draws[drawn++] as number;
  const pick = zipf(100_000, exponent, random);
  const hitters = new HeavyHitters(PLACES);
  const exact = new Map<string, number>();
  for (let at = 0; at < COUNT; at++) {
    const key = random() < share ? `key-${pick()}` : `junk-${at}`;
    exact.set(key, (exact.get(key) ?? 0) + 1);
    hitters.add(key, true);
  }
  // Junk that came once is not among the highest.
  const truth = [...exact].filter(([, count]) => count > 1).sort(([, a], [, b]) => b - a);
  const found = counted(hitters, PLACES);
  expect(found.slice(0, 10).map(([key]) => key)).toEqual(truth.slice(0, 10).map(([key]) => key));
  const offs = found.map(([key, count]) => (exact.get(key) as number) - count);
  expect(offs.filter((off) => !(off >= 0 && off <= COUNT / PLACES))).toEqual([]);
  const held = new Set(found.map(([key]) => key));
  expect(truth.filter(([key, count]) => count > COUNT / PLACES && !held.has(key))).toEqual([]);
});
