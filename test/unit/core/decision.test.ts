import { type Decision, toOutcome, withoutCharge } from '../../../lib/core/decision.js';
import { chargeOf } from '../../support/charges.js';
import { decidedOn } from '../../support/outcomes.js';

const decision = (
  name: string,
  given: Partial<Pick<Decision, 'remaining' | 'resetAfterMs' | 'retryAfterMs'>> & { shadow?: boolean } = {},
): Decision => {
  const { shadow = false, remaining = 5, resetAfterMs = 1_000, retryAfterMs = 0 } = given;
  return decidedOn(chargeOf({ name, limit: 10, windowMs: 1_000, shadow }), {
    used: 10 - remaining,
    resetMs: resetAfterMs,
    waitMs: retryAfterMs ?? Number.POSITIVE_INFINITY,
  });
};

const decidedByOf = (...decisions: Decision[]) => toOutcome(decisions, false).decidedBy?.name ?? null;

describe('decidedBy', () => {
  test('of several denials, the one with the longest wait; an endless wait is the longest', () => {
    const [short, long, never, fine] = [
      decision('short', { retryAfterMs: 10 }),
      decision('long', { retryAfterMs: 20 }),
      decision('never', { retryAfterMs: null }),
      decision('fine', { remaining: 0 }),
    ];
    expect(decidedByOf(fine, short, long)).toBe('long');
    expect(decidedByOf(long, short, fine)).toBe('long');
    expect(decidedByOf(long, never, short)).toBe('never');
    expect(toOutcome([long, never], false)).toMatchObject({ allowed: false, retryAfterMs: null });
    expect(toOutcome([short, long], false)).toMatchObject({ allowed: false, retryAfterMs: 20 });
  });

  test('otherwise the one with the fewest units remaining, then the longest reset, then the first', () => {
    expect(decidedByOf(decision('many', { remaining: 9 }), decision('few', { remaining: 1 }))).toBe('few');
    expect(decidedByOf(decision('soon', { resetAfterMs: 1 }), decision('late', { resetAfterMs: 2 }))).toBe(
      'late',
    );
    expect(decidedByOf(decision('first'), decision('second'))).toBe('first');
  });

  test('never a shadow limit', () => {
    const shadow = decision('shadow', { retryAfterMs: 10, shadow: true });
    expect(decidedByOf(shadow, decision('real'))).toBe('real');
    expect(toOutcome([shadow], false)).toMatchObject({
      allowed: true,
      skipped: false,
      decidedBy: null,
      retryAfterMs: 0,
    });
  });

  test('null for a skipped request', () => {
    expect(toOutcome([], false)).toMatchObject({ allowed: true, skipped: true, decidedBy: null });
  });
});

test('withoutCharge adds the cost back, up to the limit', () => {
  const charged = { ...decision('limit', { remaining: 3 }), receipt: {} };
  expect(withoutCharge(charged)).toMatchObject({ remaining: 4, receipt: null });
  expect(withoutCharge({ ...charged, remaining: 10 }).remaining).toBe(10);
  const untouched = decision('limit', { remaining: 3 });
  expect(withoutCharge(untouched)).toBe(untouched);
});
