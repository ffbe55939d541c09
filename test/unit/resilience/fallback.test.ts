import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Decision } from 'nestjs-ratelimit';
import { ALGORITHM_NAMES } from '../../../lib/core/algorithms/index.js';
import { timelines } from '../../support/arbitraries.js';
import { type Asked, Guarded, type GuardedOptions, MINUTE } from '../../support/guarded.js';

/** What a client sees. */
const seen = ({ allowed, limit, remaining, resetAfterMs, retryAfterMs }: Decision) => ({
  allowed,
  limit,
  remaining,
  resetAfterMs,
  retryAfterMs,
});

/** A process whose store stops deciding after so many requests. */
const outageAfter = async (requests: number, asked: Asked = {}, options: GuardedOptions = {}) => {
  const guarded = new Guarded(options);
  for (let i = 0; i < requests; i++) await guarded.decide(asked);
  guarded.held.manner = 'rejects';
  return guarded;
};

describe.each(ALGORITHM_NAMES)('A37 a process that takes over with %s', (algorithm) => {
  const of = { algorithm };

  test.each([
    ['of its own time', 0],
    ['that is an hour ahead', 60 * MINUTE],
    ['that is a day behind', -1_440 * MINUTE],
  ])('goes on from the last answer of a store %s', async (_where, aheadMs) => {
    const guarded = await outageAfter(3, of, { aheadMs });
    await guarded.pass(10_000);
    const truth = guarded.inStore(of);
    expect(truth.remaining).toBe(2);
    const { decisions, degraded } = await guarded.peek(of);
    expect(degraded).toBe(true);
    expect(decisions.map(seen)).toEqual([seen(truth)]);
    expect(await guarded.verdicts(3, of)).toEqual([true, true, false]);
  });

  test('denies what the store has denied, and for as long', async () => {
    const guarded = new Guarded({ aheadMs: 60 * MINUTE });
    await guarded.verdicts(5, of);
    await guarded.pass(5_000);
    expect((await guarded.decide(of)).allowed).toBe(false);
    guarded.held.manner = 'rejects';
    await guarded.pass(3_000);
    const truth = guarded.inStore(of).retryAfterMs as number;
    const denial = await guarded.decide(of);
    expect([denial.allowed, truth]).toEqual([false, algorithm === 'token-bucket' ? 4_000 : 52_000]);
    // An answer tells of whole units, of which a bucket had filled a part.
    if (algorithm === 'token-bucket') expect(denial.retryAfterMs).toBe(9_000);
    else expect(denial.retryAfterMs).toBe(truth);
    await guarded.pass((denial.retryAfterMs as number) - 1);
    expect((await guarded.look(of)).allowed).toBe(false);
    await guarded.pass(1);
    expect((await guarded.decide(of)).allowed).toBe(true);
  });

  test('starts afresh where all that the store had charged has expired', async () => {
    const guarded = await outageAfter(5, of);
    await guarded.pass(MINUTE);
    expect(await guarded.look(of)).toMatchObject({ remaining: 5, resetAfterMs: 0 });
    expect(await guarded.admitted(6, of)).toBe(5);
  });

  test('takes over a block', async () => {
    const blocked = { ...of, blockDurationsMs: [15 * MINUTE] };
    const guarded = await outageAfter(6, blocked, { aheadMs: 60 * MINUTE });
    await guarded.pass(5 * MINUTE);
    expect(await guarded.decide(blocked)).toMatchObject({
      allowed: false,
      remaining: 0,
      retryAfterMs: 10 * MINUTE,
      blockedForMs: 10 * MINUTE,
    });
    await guarded.pass(10 * MINUTE);
    expect(await guarded.admitted(6, of)).toBe(5);
  });

  test('goes on with what was charged, though its identity was unblocked', async () => {
    const guarded = await outageAfter(3, of);
    await guarded.store.unblock('user:1').catch(() => undefined);
    expect(await guarded.admitted(5, of)).toBe(2);
  });

  test('a block that it starts itself is longer than what was charged', async () => {
    const blocked = { ...of, blockDurationsMs: [15 * MINUTE] };
    const guarded = await outageAfter(5, blocked);
    expect(await guarded.decide(blocked)).toMatchObject({
      allowed: false,
      startsBlock: true,
      resetAfterMs: 15 * MINUTE,
      retryAfterMs: 15 * MINUTE,
    });
  });

  test('takes over a block of the identity that was set elsewhere, once it has met it', async () => {
    const guarded = new Guarded();
    guarded.held.inner.block('user:1', 15 * MINUTE);
    await guarded.decide(of);
    guarded.held.manner = 'rejects';
    await guarded.pass(14 * MINUTE);
    expect(await guarded.decide(of)).toMatchObject({ allowed: false, retryAfterMs: MINUTE });
    await guarded.pass(MINUTE);
    expect((await guarded.decide(of)).allowed).toBe(true);
  });

  test('goes on from the last answer of each node, whatever the clocks of the others', async () => {
    const guarded = new Guarded();
    const { held } = guarded;
    // The clock of the one that keeps what begins with `a` is ten minutes ahead.
    const aheadMs = 10 * MINUTE;
    held.consume = async (charges) => {
      const { decisions, degraded } = held.inner.consume(charges);
      const told = decisions.map((decision) => ({
        ...decision,
        atMs: decision.atMs + (decision.charge.identity.startsWith('a') ? aheadMs : 0),
      }));
      return { decisions: told, degraded };
    };
    const nodes = ['a:1', 'b:1', 'a:2'].map((identity) => ({ ...of, identity }));
    for (const node of nodes) await guarded.verdicts(3, node);
    await guarded.pass(10_000);
    held.consume = () => Promise.reject(new Error('down'));
    for (const node of nodes) expect(await guarded.admitted(5, node)).toBe(2);
    await guarded.pass(MINUTE);
    for (const node of nodes) expect(await guarded.admitted(6, node)).toBe(5);
  });

  test('goes on from the last answer, though the clock of the store has stepped back before it', async () => {
    const guarded = new Guarded();
    const { held } = guarded;
    await guarded.verdicts(1, of);
    // As after a failover to a server whose clock is behind.
    held.consume = async (charges) => {
      const { decisions, degraded } = held.inner.consume(charges);
      return {
        decisions: decisions.map((decision) => ({ ...decision, atMs: decision.atMs - 10_000 })),
        degraded,
      };
    };
    await guarded.pass(100);
    expect(await guarded.admitted(4, of)).toBe(4);
    held.consume = () => Promise.reject(new Error('down'));
    expect(await guarded.admitted(5, of)).toBe(0);
  });

  test('goes on from what the store has charged, also under a limit that has changed', async () => {
    const raised = await outageAfter(4, of);
    expect((await raised.look({ ...of, limit: 20 })).remaining).toBe(
      raised.inStore({ ...of, limit: 20 }).remaining,
    );
    const lowered = await outageAfter(8, { ...of, limit: 20 });
    expect((await lowered.look(of)).allowed).toBe(false);
  });

  test('is never more generous than the store would have been', async () => {
    await fc.assert(
      fc.asyncProperty(
        timelines(algorithm),
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.integer({ min: -1_000_000, max: 1_000_000 }),
        async ({ policy, steps }, wait, aheadMs) => {
          const { limit, windowMs, capacity, name } = policy;
          const burst = algorithm === 'token-bucket' ? capacity : undefined;
          const limited = { name, limit, windowMs, algorithm, burst };
          const guarded = new Guarded({ aheadMs });
          for (const { gapMs, cost } of steps) {
            guarded.clock.advance(gapMs);
            await guarded.decide({ ...limited, cost });
          }
          guarded.held.manner = 'rejects';
          guarded.clock.advance(Math.floor(wait * windowMs));
          const truth = guarded.inStore(limited);
          const local = await guarded.look(limited);
          assert(local.remaining <= truth.remaining, `${local.remaining} remain, not ${truth.remaining}.`);
          // Nor does it deny for longer than a window, and the part of it that sub-windows round up.
          const longestMs = burst === undefined ? windowMs + Math.ceil(windowMs / 32) : policy.refillMs;
          const { resetAfterMs } = local;
          assert(resetAfterMs >= truth.resetAfterMs, `${resetAfterMs} ms, not ${truth.resetAfterMs}.`);
          assert(resetAfterMs <= longestMs, `${resetAfterMs} ms is longer than ${longestMs}.`);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('A37 a process that takes over a token bucket', () => {
  test('counts parts of a unit that the store has charged since it was last away', async () => {
    const bucket: Asked = { limit: 3, windowMs: 1_000, algorithm: 'token-bucket' };
    const guarded = new Guarded();
    await guarded.verdicts(3, bucket);
    await guarded.pass(240);
    expect(await guarded.admitted(1, bucket)).toBe(0);
    await guarded.during('rejects', () => guarded.look(bucket));
    await guarded.pass(100);
    expect(await guarded.admitted(1, bucket)).toBe(1);
    await guarded.pass(100);
    // Before that charge as after it, a part of the third unit is used.
    const { resetAfterMs } = await guarded.during('rejects', () => guarded.look(bucket));
    expect(resetAfterMs).toBeGreaterThanOrEqual(guarded.inStore(bucket).resetAfterMs);
  });
});

describe('A37 a process that is one of several', () => {
  const DIVIDED: GuardedOptions = { instances: 4 };

  test.each<[string, Asked, number]>([
    ['admits its part of the limit', { limit: 20 }, 5],
    ['rounds its part down', { limit: 11 }, 2],
    ['admits one, where its part were less', { limit: 3 }, 1],
    ['admits none, where there is none', { limit: 0 }, 0],
    ['admits its part of a burst', { limit: 1, algorithm: 'token-bucket', burst: 9 }, 2],
    ['admits one of a small burst', { limit: 100, algorithm: 'token-bucket', burst: 2 }, 1],
    ['admits its part of a fixed window', { limit: 8, algorithm: 'fixed-window' }, 2],
    ['admits one request that costs more than its part', { limit: 10, cost: 6 }, 1],
    ['admits none that costs more than the limit', { limit: 10, cost: 11 }, 0],
    ['admits what costs nothing', { limit: 4, cost: 0 }, 30],
  ])('%s', async (_what, asked, admitted) => {
    const guarded = await outageAfter(0, asked, DIVIDED);
    expect(await guarded.admitted(30, asked)).toBe(admitted);
  });

  test('refills a bucket at its part of the rate', async () => {
    const bucket: Asked = { limit: 8, algorithm: 'token-bucket', burst: 8 };
    const guarded = await outageAfter(0, bucket, DIVIDED);
    expect(await guarded.admitted(3, bucket)).toBe(2);
    // Two a minute.
    expect((await guarded.decide(bucket)).retryAfterMs).toBe(30_000);
  });

  test('tells its part', async () => {
    const guarded = await outageAfter(0, {}, DIVIDED);
    expect(await guarded.decide({ limit: 20 })).toMatchObject({ limit: 5, remaining: 4 });
    expect(await guarded.decide({ limit: 0, name: 'none' })).toMatchObject({ limit: 0, retryAfterMs: null });
  });

  test('charges after a costly request as before it', async () => {
    const guarded = await outageAfter(0, {}, DIVIDED);
    expect(await guarded.verdicts(1, { limit: 20, cost: 12 })).toEqual([true]);
    expect(await guarded.admitted(5, { limit: 20 })).toBe(0);
    await guarded.pass(MINUTE);
    expect(await guarded.admitted(10, { limit: 20 })).toBe(5);
  });

  test.each(ALGORITHM_NAMES)('with %s takes over its part of what remained', async (algorithm) => {
    const limit = { limit: 20, algorithm };
    const rest = async (used: number) => {
      const guarded = await outageAfter(used, limit, DIVIDED);
      return guarded.admitted(10, limit);
    };
    expect(await Promise.all([0, 1, 4, 5, 12, 16, 17, 20].map(rest))).toEqual([5, 4, 4, 3, 2, 1, 0, 0]);
  });
});

describe('A37 after an outage', () => {
  /** A process that has admitted so many requests while its store, which is back and empty now, was away. */
  const admittedWithout = async (count: number, asked: Asked = {}, options: GuardedOptions = {}) => {
    const guarded = await outageAfter(0, {}, options);
    expect(await guarded.admitted(count, asked)).toBe(count);
    guarded.held.manner = 'answers';
    guarded.held.asked.length = 0;
    guarded.heard.length = 0;
    return guarded;
  };

  test('what was admitted meanwhile goes on counting beside the store', async () => {
    const guarded = await admittedWithout(3);
    await guarded.pass(1_000);
    const { decisions, degraded } = await guarded.consume();
    expect(degraded).toBe(false);
    // What is left under both, and full again when both are.
    expect(decisions.map(seen)).toEqual([
      { allowed: true, limit: 5, remaining: 1, resetAfterMs: MINUTE, retryAfterMs: 0 },
    ]);
    expect(await guarded.verdicts(2)).toEqual([true, false]);
    expect(guarded.inStore().remaining).toBe(3);
  });

  test('an emptied store gives no second allowance, and is not asked for one', async () => {
    const guarded = await admittedWithout(5);
    await guarded.pass(20_000);
    const { decisions, degraded } = await guarded.consume();
    expect(decisions.map(seen)).toEqual([
      { allowed: false, limit: 5, remaining: 0, resetAfterMs: 40_000, retryAfterMs: 40_000 },
    ]);
    expect([degraded, guarded.held.asked, guarded.heard, guarded.causes.at(-1)]).toEqual([
      true,
      [],
      ['degraded limit'],
      null,
    ]);
  });

  test.each(ALGORITHM_NAMES)(
    'with %s the wait that is told is enough, and no longer than needed',
    async (algorithm) => {
      const guarded = await admittedWithout(5, { algorithm });
      const denial = await guarded.decide({ algorithm });
      await guarded.pass((denial.retryAfterMs as number) - 1);
      expect((await guarded.decide({ algorithm })).allowed).toBe(false);
      await guarded.pass(1);
      expect(await guarded.consume({ algorithm })).toMatchObject({
        degraded: false,
        decisions: [{ allowed: true }],
      });
    },
  );

  test('it counts until it has expired, and no longer', async () => {
    const guarded = await admittedWithout(5);
    await guarded.pass(MINUTE - 1);
    expect((await guarded.decide()).allowed).toBe(false);
    await guarded.pass(1);
    expect(await guarded.consume()).toMatchObject({ degraded: false, decisions: [{ remaining: 4 }] });
    expect(await guarded.verdicts(5)).toEqual([true, true, true, true, false]);
    expect(guarded.held.asked).toHaveLength(6);
  });

  test('it counts for its own bucket alone', async () => {
    const guarded = await admittedWithout(5);
    expect(await guarded.admitted(6, { identity: 'user:2' })).toBe(5);
    expect(await guarded.admitted(6, { name: 'other' })).toBe(5);
    expect(await guarded.admitted(6)).toBe(0);
    // Of the others the store alone knows, also that another process has forgotten them.
    guarded.held.inner.reset({ identity: 'user:2' });
    expect(await guarded.admitted(6, { identity: 'user:2' })).toBe(5);
  });

  test('of a request, the limit that has no room denies, and none is charged', async () => {
    const guarded = await admittedWithout(5);
    const { decisions, degraded } = await guarded.consume({ name: 'other' }, {});
    // Of the other one this process knows nothing.
    expect(decisions.map(({ name, allowed, receipt }) => [name, allowed, receipt])).toEqual([
      ['limit', false, null],
    ]);
    expect([degraded, guarded.held.asked, guarded.inStore({ name: 'other' }).remaining]).toEqual([
      true,
      [],
      5,
    ]);
  });

  test('what another process has charged is heard of through the store', async () => {
    const guarded = await admittedWithout(1);
    guarded.elsewhere({ cost: 5 });
    await guarded.pass(1_000);
    const { decisions, degraded } = await guarded.consume();
    expect([degraded, ...decisions.map(seen)]).toEqual([
      false,
      { allowed: false, limit: 5, remaining: 0, resetAfterMs: 59_000, retryAfterMs: 59_000 },
    ]);
  });

  test('each process counts its own undivided, since the store counts all of them', async () => {
    const guarded = await admittedWithout(1, {}, { instances: 4 });
    expect(await guarded.admitted(10)).toBe(4);
  });

  test('a look at it tells what is left under both, and charges nothing', async () => {
    const guarded = await admittedWithout(3);
    for (let i = 0; i < 3; i++) {
      expect(await guarded.peek()).toMatchObject({
        degraded: false,
        decisions: [{ allowed: true, remaining: 2 }],
      });
    }
    guarded.elsewhere({ cost: 1 });
    expect((await guarded.look()).remaining).toBe(1);
    expect(await guarded.admitted(5)).toBe(1);
    const full = await admittedWithout(5);
    expect(await full.peek()).toMatchObject({ degraded: true, decisions: [{ allowed: false }] });
  });

  test('in another outage it has not been forgotten for what the store has denied meanwhile', async () => {
    const guarded = new Guarded();
    guarded.elsewhere({ cost: 5 });
    await guarded.pass(55_000);
    guarded.held.manner = 'rejects';
    expect(await guarded.admitted(4)).toBe(4);
    await guarded.pass(1_000);
    guarded.held.manner = 'answers';
    // What was charged elsewhere ends in four seconds; what was admitted here, a second ago, in 59.
    expect((await guarded.decide()).retryAfterMs).toBe(4_000);
    guarded.held.manner = 'rejects';
    expect((await guarded.decide()).allowed).toBe(false);
    await guarded.pass(4_000);
    // Four of five count still.
    expect(await guarded.admitted(5)).toBeLessThanOrEqual(1);
  });

  test('a block that began meanwhile goes on', async () => {
    const blocked: Asked = { blockDurationsMs: [15 * MINUTE] };
    const guarded = await admittedWithout(5, blocked);
    guarded.held.manner = 'rejects';
    expect((await guarded.decide(blocked)).retryAfterMs).toBe(15 * MINUTE);
    guarded.held.manner = 'answers';
    await guarded.pass(MINUTE);
    expect(await guarded.decide(blocked)).toMatchObject({ allowed: false, retryAfterMs: 14 * MINUTE });
  });

  test('a block that began meanwhile, and is over soon, does not let it be forgotten', async () => {
    const guarded = await admittedWithout(5, { blockDurationsMs: [1_000] });
    expect((await guarded.decide({ blockDurationsMs: [1_000] })).allowed).toBe(false);
    await guarded.pass(2_000);
    expect(await guarded.admitted(5, { blockDurationsMs: [1_000] })).toBe(0);
  });

  test('a shadow limit that the process has used up would deny, and denies nobody', async () => {
    const guarded = await admittedWithout(5, { shadow: true });
    expect(await guarded.consume({ shadow: true }, { name: 'other' })).toMatchObject({
      degraded: false,
      decisions: [
        { name: 'limit', allowed: false },
        { name: 'other', allowed: true },
      ],
    });
    expect(guarded.inStore({ name: 'other' }).remaining).toBe(4);
  });
});
