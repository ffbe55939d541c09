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
  const lengths = [31, 32, 33, 320, 2_000].map((windowMs) => {
    const policy = definePolicy({
      name,
      scope: '',
      rate: { limit: 1_000, windowMs },
      algorithm: name,
      blocks: true,
    });
    let state = EMPTY_STATE;
    let longest = 0;
    for (let nowMs = NOW_MS; nowMs < NOW_MS + 3 * windowMs; nowMs++) {
      state = algorithm.settle(state, policy, nowMs);
      if (algorithm.waitMs(state, policy, 1, nowMs) > 0) continue;
      state = algorithm.charge(state, policy, 1, nowMs);
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
  expect(merge(one, other, policy, NOW_MS)).toEqual([3, NOW_MS - 900, 1, NOW_MS - 500, 1, NOW_MS - 100, 1]);
});

test.each([97, 100, 1_000, 10_000])('sliding-window with a limit of %i keeps at most 96 entries', (limit) => {
  const sliding = ALGORITHMS['sliding-window'];
  const policy = definePolicy({ name: 'sliding', scope: '', rate: { limit, windowMs: 60_000 } });
  const part = Math.ceil(limit / 32);
  // Entries of one unit and of almost a part alternate, so that neighbours in one 32nd of the window do not fit together.
  for (const costs of [[1], [1, part], [part, 1, 1], [1, 2, part - 1 || 1]]) {
    let state = EMPTY_STATE;
    for (let step = 0; step < 5_000; step++) {
      const nowMs = NOW_MS + step * 97;
      const cost = costs[step % costs.length] as number;
      state = sliding.settle(state, policy, nowMs);
      if (sliding.waitMs(state, policy, cost, nowMs) === 0)
        state = sliding.charge(state, policy, cost, nowMs);
      expect((state.length - 1) / 2).toBeLessThanOrEqual(96);
    }
  }
});
