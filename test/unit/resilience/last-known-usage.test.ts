import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Charge } from 'nestjs-ratelimit';
import { LastKnownUsage } from '../../../lib/resilience/last-known-usage.js';
import { chargeOf } from '../../support/charges.js';
import { decidedOn } from '../../support/outcomes.js';

const NOW_MS = 1_000_000;

/** Remembers decisions by which a bucket has used so many units, each made after those before it. */
class Remembered {
  readonly usage: LastKnownUsage;
  #atMs = NOW_MS;

  constructor(max: number) {
    this.usage = new LastKnownUsage(max);
  }

  set(charge: Charge, used: number, blockedMs = 0): void {
    const decision = decidedOn(charge, { used, resetMs: 60_000, blockedMs, atMs: this.#atMs++ });
    this.usage.observe(decision, NOW_MS, NOW_MS);
  }

  /** As a store says of a bucket that nothing is charged to. */
  empty(charge: Charge): void {
    this.usage.observe(decidedOn(charge, { used: 0, resetMs: 0, atMs: this.#atMs++ }), NOW_MS, NOW_MS);
  }

  forget(identity: string): void {
    this.usage.deleteWhere(({ charge }) => charge.identity === identity);
  }

  usedOf({ policy, identity }: Charge): number | undefined {
    return this.usage.of(policy, identity, NOW_MS)?.used;
  }

  countOf(charges: readonly Charge[]): number {
    return charges.filter((charge) => this.usedOf(charge) !== undefined).length;
  }
}

const burst = (identity: string): Charge => chargeOf({ name: 'burst', identity });
const day = (identity: string): Charge => chargeOf({ name: 'day', identity });
const users = (count: number, of: (identity: string) => Charge = burst): readonly Charge[] =>
  Array.from({ length: count }, (_, i) => of(`user:${i}`));

describe('the last known usage of buckets', () => {
  test('is found under the policy and the identity that it was decided for', () => {
    const kept = new Remembered(100);
    kept.set(burst('user:1'), 1);
    kept.set(burst('user:2'), 2);
    kept.set(day('user:1'), 3);
    const all = [burst('user:1'), burst('user:2'), day('user:1'), day('user:2')];
    expect(all.map((charge) => kept.usedOf(charge))).toEqual([1, 2, 3, undefined]);
    kept.empty(burst('user:1'));
    expect([kept.usedOf(burst('user:1')), kept.usedOf(day('user:1'))]).toEqual([undefined, 3]);
  });

  test('is not mixed up by identities and names that hold line breaks or colons', () => {
    const kept = new Remembered(100);
    kept.set(chargeOf({ name: 'burst', identity: 'day\nuser:1' }), 1);
    kept.set(chargeOf({ name: 'burst:s:1', identity: 'user:1' }), 2);
    expect(kept.usedOf(burst('user:1'))).toBeUndefined();
    expect(kept.usedOf(chargeOf({ name: 'burst', identity: 'day\nuser:1' }))).toBe(1);
  });

  test('is found under a policy of the same bucket, whatever its limit', () => {
    const kept = new Remembered(100);
    kept.set(burst('user:1'), 1);
    expect(kept.usedOf(chargeOf({ name: 'burst', identity: 'user:1', limit: 9 }))).toBe(1);
  });

  test('is forgotten once nothing of it counts any more', () => {
    const kept = new Remembered(100);
    const charge = burst('user:1');
    kept.set(charge, 1);
    expect(kept.usage.of(charge.policy, 'user:1', NOW_MS + 59_999)?.used).toBe(1);
    expect(kept.usage.of(charge.policy, 'user:1', NOW_MS + 60_000)).toBeUndefined();
  });

  test('is forgotten where its last decision fulfils a condition', () => {
    const kept = new Remembered(100);
    kept.set(burst('user:1'), 1, 60_000);
    kept.set(day('user:1'), 2);
    kept.set(burst('user:2'), 3, 60_000);
    const all = [burst('user:1'), day('user:1'), burst('user:2')];
    kept.usage.deleteWhere(({ charge, blockedForMs }) => charge.identity === 'user:1' && blockedForMs > 0);
    expect(all.map((charge) => kept.usedOf(charge))).toEqual([undefined, 2, 3]);
    kept.forget('user:2');
    expect(all.map((charge) => kept.usedOf(charge))).toEqual([undefined, 2, undefined]);
  });

  test('setting and forgetting again and again pushes nothing out', () => {
    const kept = new Remembered(3);
    kept.set(burst('user:1'), 1);
    for (let i = 1; i <= 100; i++) {
      kept.set(burst('user:2'), i);
      kept.empty(burst('user:2'));
      kept.set(day('user:2'), i);
      kept.forget('user:2');
    }
    expect(kept.usedOf(burst('user:1'))).toBe(1);
  });

  const index = fc.integer({ min: 0, max: 30 });
  const steps = (kinds: readonly ('set' | 'empty' | 'reset')[]) =>
    fc.array(fc.record({ kind: fc.constantFrom(...kinds), of: fc.constantFrom(burst, day), index }), {
      maxLength: 200,
    });
  const all = [...users(31), ...users(31, day)];
  const keyOf = ({ policy, identity }: Charge): string => `${policy.name} ${identity}`;

  test('A41 whatever is set and forgotten, it stays within its size and tells nothing that is past', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        steps(['set', 'set', 'empty', 'reset']),
        (max, sequence) => {
          const kept = new Remembered(max);
          const truth = new Map<string, number>();
          for (const [at, step] of sequence.entries()) {
            const charge = step.of(`user:${step.index}`);
            if (step.kind === 'set') {
              kept.set(charge, at + 1);
              truth.set(keyOf(charge), at + 1);
            } else if (step.kind === 'empty') {
              kept.empty(charge);
              truth.delete(keyOf(charge));
            } else {
              kept.forget(charge.identity);
              for (const toCharge of [burst, day]) truth.delete(keyOf(toCharge(charge.identity)));
            }
            for (const one of all) {
              const used = kept.usedOf(one);
              if (used !== undefined) assert.equal(used, truth.get(keyOf(one)));
            }
            assert(kept.countOf(all) <= max, `It holds ${kept.countOf(all)}.`);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('the buckets that were set last are kept, as many as its size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), steps(['set']), (max, sequence) => {
        const kept = new Remembered(max);
        for (const [at, { of, index }] of sequence.entries()) kept.set(of(`user:${index}`), at + 1);
        const last = new Map<string, readonly [Charge, number]>();
        for (const [at, { of, index }] of [...sequence.entries()].reverse()) {
          const charge = of(`user:${index}`);
          if (last.size < max && !last.has(keyOf(charge))) last.set(keyOf(charge), [charge, at + 1]);
        }
        for (const [charge, used] of last.values()) assert.equal(kept.usedOf(charge), used);
      }),
      { numRuns: 500 },
    );
  });
});
