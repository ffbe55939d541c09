import fc from 'fast-check';
import { type BucketState, EMPTY_STATE } from '../../../lib/core/algorithms/algorithm.js';
import { ALGORITHM_NAMES, ALGORITHMS } from '../../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../../lib/core/policy.js';

const NOW_MS = 10_000;

/** A bucket that was charged at these times before now. */
function chargedAt(policy: Policy, agosMs: readonly number[]): BucketState {
  const algorithm = ALGORITHMS[policy.algorithm];
  let state = EMPTY_STATE;
  for (const agoMs of [...agosMs].sort((a, b) => b - a)) {
    state = algorithm.settle(state, policy, NOW_MS - agoMs);
    state = algorithm.charge(state, policy, 1, NOW_MS - agoMs);
  }
  return algorithm.settle(state, policy, NOW_MS);
}

describe.each(ALGORITHM_NAMES)('two states of one bucket under %s', (name) => {
  const policy = definePolicy({ name, scope: '', rate: { limit: 100, windowMs: 1_000 }, algorithm: name });
  const algorithm = ALGORITHMS[name];
  const usedAfter = (state: BucketState, ms: number) =>
    algorithm.used(algorithm.settle([...state], policy, NOW_MS + ms), policy, NOW_MS + ms);
  const agos = fc.array(fc.integer({ min: 0, max: 1_200 }), { maxLength: 40 });
  const after = fc.integer({ min: 0, max: 1_100 });

  test('merged, count at least as much as each of them at any time', () => {
    fc.assert(
      fc.property(agos, agos, after, (ofOne, ofOther, ms) => {
        const [one, other] = [chargedAt(policy, ofOne), chargedAt(policy, ofOther)];
        const both = algorithm.merge(one, other, policy, NOW_MS);
        const most = Math.max(usedAfter(one, 0), usedAfter(other, 0));
        const mostLater = Math.max(usedAfter(one, ms), usedAfter(other, ms));
        return algorithm.used(both, policy, NOW_MS) === most && usedAfter(both, ms) >= mostLater;
      }),
      { numRuns: 500 },
    );
  });

  test('are not changed by merging', () => {
    fc.assert(
      fc.property(agos, agos, (ofOne, ofOther) => {
        const [one, other] = [chargedAt(policy, ofOne), chargedAt(policy, ofOther)];
        const before = [[...one], [...other]];
        const both = algorithm.merge(one, other, policy, NOW_MS);
        algorithm.charge(both, policy, 1, NOW_MS);
        expect([one, other]).toEqual(before);
        expect(EMPTY_STATE).toEqual([]);
      }),
    );
  });
});

test('each algorithm has a fixed code in bucket keys', () => {
  expect(ALGORITHM_NAMES.map((name) => [name, ALGORITHMS[name].code])).toEqual([
    ['sliding-window', 's'],
    ['fixed-window', 'f'],
    ['token-bucket', 't'],
  ]);
});

test.each(ALGORITHM_NAMES)('the longest state of %s has maxState entries', (name) => {
  const algorithm = ALGORITHMS[name];
  const lengths = [31, 32, 33, 320, 1_000].map((windowMs) => {
    const policy = definePolicy({ name, scope: '', rate: { limit: 10_000, windowMs }, algorithm: name });
    let state = EMPTY_STATE;
    let longest = 0;
    for (let nowMs = NOW_MS; nowMs < NOW_MS + 3 * windowMs; nowMs++) {
      state = algorithm.charge(algorithm.settle(state, policy, nowMs), policy, 1, nowMs);
      longest = Math.max(longest, state.length);
    }
    return longest;
  });
  expect(Math.max(...lengths)).toBe(algorithm.maxState);
});

test('sliding-window merges exact times without counting more', () => {
  const policy = definePolicy({ name: 'sliding', scope: '', rate: { limit: 100, windowMs: 1_000 } });
  const { merge } = ALGORITHMS['sliding-window'];
  const [one, other] = [chargedAt(policy, [900, 900, 100]), chargedAt(policy, [500, 500])];
  // Three charges; of the older two one is as young as the oldest that the other has.
  expect(merge(one, other, policy, NOW_MS)).toEqual([0, NOW_MS - 900, 1, NOW_MS - 500, 1, NOW_MS - 100, 1]);
});
