import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Policy } from 'nestjs-ratelimit';
import { definePolicy } from '../../../lib/core/policy.js';
import { ByBucket } from '../../../lib/resilience/by-bucket.js';

const policyOf = (name: string): Policy =>
  definePolicy({ name, scope: 'test', rate: { limit: 1, windowMs: 1_000 } });
const [burst, day] = [policyOf('burst'), policyOf('day')];

const heldOf = (kept: ByBucket<unknown>, policies: readonly Policy[], identities: readonly string[]) =>
  policies.flatMap((policy) => identities.filter((identity) => kept.get(policy, identity) !== undefined));

describe('what is kept by bucket', () => {
  test('is found under the policy and the identity that it was set for', () => {
    const kept = new ByBucket<number>(100);
    kept.set(burst, 'user:1', 1);
    kept.set(burst, 'user:2', 2);
    kept.set(day, 'user:1', 3);
    expect([
      kept.get(burst, 'user:1'),
      kept.get(burst, 'user:2'),
      kept.get(day, 'user:1'),
      kept.get(day, 'user:2'),
    ]).toEqual([1, 2, 3, undefined]);
    kept.delete(burst, 'user:1');
    expect([kept.get(burst, 'user:1'), kept.get(day, 'user:1')]).toEqual([undefined, 3]);
    kept.clear();
    expect([kept.get(burst, 'user:2'), kept.get(day, 'user:1')]).toEqual([undefined, undefined]);
  });

  test('is found under a policy of the same bucket, whatever its limit', () => {
    const kept = new ByBucket<number>(100);
    kept.set(burst, 'user:1', 1);
    const raised = definePolicy({ name: 'burst', scope: 'test', rate: { limit: 9, windowMs: 1_000 } });
    expect(kept.get(raised, 'user:1')).toBe(1);
  });

  test('is deleted of an identity where it is concerned, old and new', () => {
    const kept = new ByBucket<number>(3);
    kept.set(burst, 'user:1', 1);
    kept.set(day, 'user:1', 2);
    kept.set(burst, 'user:2', 1);
    // Those before are the old ones now.
    kept.set(policyOf('new'), 'user:1', 1);
    kept.set(policyOf('newer'), 'user:1', 2);
    kept.deleteOf('user:1', (value) => value === 1);
    const names = ['burst', 'day', 'new', 'newer'];
    expect(names.map((name) => kept.get(policyOf(name), 'user:1'))).toEqual([undefined, 2, undefined, 2]);
    expect(kept.get(burst, 'user:2')).toBe(1);
  });

  test('A41 is never more than twice its size, over all policies together', () => {
    const kept = new ByBucket<number>(50);
    const policies = ['one', 'two', 'three'].map(policyOf);
    const identities = Array.from({ length: 500 }, (_, i) => `user:${i}`);
    let most = 0;
    for (const [i, identity] of identities.entries()) {
      kept.set(policies[i % 3] as Policy, identity, i);
      most = Math.max(most, heldOf(kept, policies, identities).length);
    }
    // It makes use of its room.
    expect(most).toBe(99);
  });

  test('A41 nor is it when all there is of many identities is deleted, new or old', () => {
    const kept = new ByBucket<number>(10);
    for (let round = 0; round < 5; round++) {
      const identities = Array.from({ length: 60 }, (_, i) => `user:${round}-${i}`);
      for (const identity of identities) {
        kept.set(burst, identity, round);
        expect(heldOf(kept, [burst], identities).length).toBeLessThanOrEqual(20);
      }
      for (const identity of identities) kept.deleteOf(identity, () => true);
      expect(heldOf(kept, [burst], identities)).toEqual([]);
    }
  });

  test('setting and deleting again and again pushes nothing out', () => {
    const kept = new ByBucket<number>(3);
    kept.set(burst, 'user:1', 1);
    for (let i = 0; i < 100; i++) {
      kept.set(burst, 'user:2', i);
      kept.delete(burst, 'user:2');
      kept.set(day, 'user:2', i);
      kept.deleteOf('user:2', () => true);
    }
    expect(kept.get(burst, 'user:1')).toBe(1);
  });

  test('setting the same again and again pushes nothing out', () => {
    const kept = new ByBucket<number>(3);
    kept.set(burst, 'user:1', 1);
    for (let i = 0; i < 100; i++) kept.set(burst, 'user:2', i);
    expect([kept.get(burst, 'user:1'), kept.get(burst, 'user:2')]).toEqual([1, 99]);
  });

  const identity = fc.integer({ min: 0, max: 30 }).map((i) => `user:${i}`);
  const steps = (ways: readonly ('set' | 'delete' | 'deleteOf')[]) =>
    fc.array(fc.record({ way: fc.constantFrom(...ways), policy: fc.constantFrom(burst, day), identity }), {
      maxLength: 200,
    });
  const identities = Array.from({ length: 31 }, (_, i) => `user:${i}`);

  test('A41 whatever is set and deleted, it stays within twice its size and tells nothing that is past', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        steps(['set', 'set', 'delete', 'deleteOf']),
        (most, given) => {
          const kept = new ByBucket<number>(most);
          const truth = new Map<string, number>();
          for (const [at, step] of given.entries()) {
            if (step.way === 'set') {
              kept.set(step.policy, step.identity, at);
              truth.set(`${step.policy.name} ${step.identity}`, at);
            } else if (step.way === 'delete') {
              kept.delete(step.policy, step.identity);
              truth.delete(`${step.policy.name} ${step.identity}`);
            } else {
              kept.deleteOf(step.identity, (value) => value % 2 === 0);
              for (const { name } of [burst, day]) {
                const key = `${name} ${step.identity}`;
                if ((truth.get(key) ?? 1) % 2 === 0) truth.delete(key);
              }
            }
            let held = 0;
            for (const policy of [burst, day]) {
              for (const one of identities) {
                const value = kept.get(policy, one);
                if (value === undefined) continue;
                held++;
                assert.equal(value, truth.get(`${policy.name} ${one}`));
              }
            }
            assert(held <= 2 * most, `It holds ${held}.`);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('those that were set last are kept, as many as its size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), steps(['set']), (most, given) => {
        const kept = new ByBucket<number>(most);
        for (const [at, { policy, identity }] of given.entries()) kept.set(policy, identity, at);
        const last = new Map<string, readonly [Policy, string, number]>();
        for (const [at, { policy, identity }] of [...given.entries()].reverse()) {
          const key = `${policy.name} ${identity}`;
          if (last.size < most && !last.has(key)) last.set(key, [policy, identity, at]);
        }
        for (const [policy, identity, at] of last.values()) assert.equal(kept.get(policy, identity), at);
      }),
      { numRuns: 500 },
    );
  });
});
