import fc from 'fast-check';
import { definePolicy } from '../../../lib/core/policy.js';

describe('policies', () => {
  test('a token bucket has the burst as capacity, and its refill time', () => {
    const policy = definePolicy({
      name: 'bucket',
      scope: 'scope',
      rate: { limit: 30, windowMs: 60_000 },
      algorithm: 'token-bucket',
      burst: 10,
    });
    expect(policy).toMatchObject({ limit: 30, capacity: 10, refillMs: 20_000 });
  });

  test('a token bucket rejects limits that it could not count exactly, above 52 million a day', () => {
    const a = (limit: number) =>
      definePolicy({
        name: 'a',
        scope: 's',
        rate: { limit, windowMs: 86_400_000 },
        algorithm: 'token-bucket',
      });
    expect(a(52_000_000).limit).toBe(52_000_000);
    expect(() => a(53_000_000)).toThrow('[bad-policy]');
  });

  test('bucket keys of different scopes and names differ', () => {
    const parts = fc.string({ unit: fc.constantFrom('a', ':', '%', '{', '}', '3', 'A') });
    const name = parts.filter((text) => text !== '');
    const tail = (scope: string, policy: string) =>
      definePolicy({ name: policy, scope, rate: { limit: 1, windowMs: 1_000 } }).bucketKey;
    fc.assert(
      fc.property(parts, name, parts, name, (scope, policy, otherScope, otherPolicy) => {
        const one = tail(scope, policy);
        const areSame = scope === otherScope && policy === otherPolicy;
        return (one === tail(otherScope, otherPolicy)) === areSame && !/[{}]/.test(one);
      }),
      { numRuns: 5_000 },
    );
  });
});
