import fc from 'fast-check';
import type { AlgorithmName } from '../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../lib/core/policy.js';

const windows = fc.oneof(
  fc.integer({ min: 1, max: 100 }),
  fc.constantFrom(1_000, 60_000, 900_000, 3_600_000, 86_400_000),
  fc.integer({ min: 101, max: 10_000_000 }),
);

const limits = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 51, max: 1_000 }));

/** A policy of one algorithm, with windows from a millisecond to a day and limits on both sides of 32. */
export const policies = (algorithm: AlgorithmName, name = 'limit'): fc.Arbitrary<Policy> =>
  fc
    .record({
      limit: limits,
      windowMs: windows,
      burst: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
      blocks: fc.boolean(),
    })
    .map(({ limit, windowMs, burst, blocks }) =>
      definePolicy({
        name,
        scope: 'property',
        rate: { limit, windowMs },
        algorithm,
        blocks,
        burst: algorithm === 'token-bucket' ? burst : undefined,
      }),
    );

/** A request: how long after the one before it comes, as a share of the window, and what it costs. */
export interface Step {
  readonly gapMs: number;
  readonly cost: number;
}

/** Requests of one unit that come fast enough for a sliding window to merge entries. */
const dense = ({ windowMs }: Policy): fc.Arbitrary<readonly Step[]> =>
  fc.array(
    fc.record({
      gapMs: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 1, max: Math.max(1, Math.ceil(windowMs / 100)) }) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: Math.max(1, Math.ceil(windowMs / 8)) }) },
      ),
      cost: fc.constant(1),
    }),
    { minLength: 97, maxLength: 300 },
  );

/** Requests that come in bursts, evenly and after long silences, with costs up to a little over the capacity. */
export const stepsFor = (policy: Policy): fc.Arbitrary<readonly Step[]> =>
  fc.oneof({ weight: 3, arbitrary: mixed(policy) }, { weight: 1, arbitrary: dense(policy) });

const mixed = ({ windowMs, capacity }: Policy): fc.Arbitrary<readonly Step[]> =>
  fc.array(
    fc.record({
      gapMs: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 4, arbitrary: fc.integer({ min: 1, max: Math.max(1, Math.ceil(windowMs / 20)) }) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 * windowMs }) },
      ),
      cost: fc.oneof(
        { weight: 6, arbitrary: fc.constant(1) },
        { weight: 3, arbitrary: fc.integer({ min: 1, max: Math.max(1, Math.ceil(capacity / 4)) }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: capacity + 1 }) },
      ),
    }),
    { minLength: 1, maxLength: 120 },
  );

/** A policy of one algorithm and requests that press on it. */
export const timelines = (algorithm: AlgorithmName) =>
  policies(algorithm).chain((policy) => stepsFor(policy).map((steps) => ({ policy, steps })));
