import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Clock, Decision } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { ALGORITHM_NAMES } from '../../lib/core/algorithms/index.js';
import { definePolicy, type Policy } from '../../lib/core/policy.js';
import { MemoryStore } from '../../lib/store/memory/memory-store.js';
import { policies, type Step, stepsFor, timelines } from '../support/arbitraries.js';
import { type Admission, keepsBound } from '../support/bounds.js';
import { isLong, runs } from '../support/runs.js';

// A property is tried for tens of thousands of steps. Unlike `expect`, `assert` costs next to nothing where it holds.

interface Task {
  readonly run: () => void;
  readonly everyMs: number;
  dueMs: number;
}

/**
 * A clock that the test turns. Turned past many ticks of a task, it runs it at the last of them, as the timer of a busy
 * process does; the long runs turn a `TestClock`, tick by tick. A store that looks at one bucket every second is left as after all of them, and windows are up to a day
 * long.
 */
class SkippingClock implements Clock {
  readonly #tasks = new Set<Task>();
  #nowMs = Date.UTC(2026, 0, 1);

  now(): number {
    return this.#nowMs;
  }

  every(everyMs: number, run: () => void): () => void {
    const task: Task = { run, everyMs, dueMs: this.#nowMs + everyMs };
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (const task of this.#tasks) {
      if (task.dueMs > endMs) continue;
      this.#nowMs = endMs - ((endMs - task.dueMs) % task.everyMs);
      task.dueMs = this.#nowMs + task.everyMs;
      task.run();
    }
    this.#nowMs = endMs;
  }

  set(toMs: number): void {
    this.#nowMs = toMs;
  }
}

/** A memory store in one bucket's use. */
class Player {
  readonly clock: TestClock | SkippingClock;
  readonly store: MemoryStore;

  /** @param before Continues with the store of another player. */
  constructor(
    readonly policy: Policy,
    before?: Player,
  ) {
    this.clock = before?.clock ?? (isLong ? new TestClock() : new SkippingClock());
    this.store = before?.store ?? new MemoryStore({ clock: this.clock });
  }

  #charge(cost: number) {
    return { policy: this.policy, identity: 'user:1', cost, shadow: false, blockDurationsMs: [] };
  }

  consume(cost: number): Decision {
    return this.store.consume([this.#charge(cost)]).decisions[0] as Decision;
  }

  peek(cost = 1): Decision {
    return this.store.peek([this.#charge(cost)]).decisions[0] as Decision;
  }

  play({ gapMs, cost }: Step): Decision {
    this.clock.advance(gapMs);
    return this.consume(cost);
  }
}

/** A decision as far as a client sees it. */
const seen = ({ allowed, limit, remaining, resetAfterMs, retryAfterMs }: Decision) => ({
  allowed,
  limit,
  remaining,
  resetAfterMs,
  retryAfterMs,
});

function assertWithin(actual: number | null, least: number, most: number): void {
  if (actual === null || !(actual >= least && actual <= most))
    assert.fail(`${actual} is not from ${least} to ${most}.`);
}

describe.each(ALGORITHM_NAMES)('%s', (algorithm) => {
  test('A27 admits no more than its own bound', () => {
    fc.assert(
      fc.property(timelines(algorithm), ({ policy, steps }) => {
        const player = new Player(policy);
        const admissions: Admission[] = [];
        for (const step of steps) {
          const { allowed, atMs } = player.play(step);
          if (allowed) admissions.push({ atMs, cost: step.cost });
        }
        assert(keepsBound(admissions, policy), 'It admitted more.');
      }),
      runs(2_000),
    );
  });

  test('A30 waiting exactly the reported time is always enough', () => {
    fc.assert(
      fc.property(timelines(algorithm), ({ policy, steps }) => {
        const player = new Player(policy);
        for (const step of steps) {
          const { allowed, retryAfterMs } = player.play(step);
          if (allowed) continue;
          if (retryAfterMs === null) {
            assert(step.cost > policy.capacity, 'It would never pass.');
            continue;
          }
          player.clock.advance(retryAfterMs);
          assert.equal(player.consume(step.cost).allowed, true);
        }
      }),
      runs(2_000),
    );
  });

  test('a shorter wait than the reported one is not enough', () => {
    fc.assert(
      fc.property(timelines(algorithm), ({ policy, steps }) => {
        const player = new Player(policy);
        for (const step of steps) {
          const { retryAfterMs } = player.play(step);
          if (retryAfterMs === null || retryAfterMs === 0) continue;
          player.clock.advance(retryAfterMs - 1);
          assert.equal(player.peek(step.cost).allowed, false);
        }
      }),
      runs(2_000),
    );
  });

  test('denied requests change nothing', () => {
    fc.assert(
      fc.property(timelines(algorithm), ({ policy, steps }) => {
        const player = new Player(policy);
        const polite = new Player(policy);
        for (const step of steps) {
          polite.clock.advance(step.gapMs);
          const decision = player.play(step);
          const expected = decision.allowed ? polite.consume(step.cost) : polite.peek(step.cost);
          assert.deepEqual(seen(decision), seen(expected));
        }
      }),
      runs(2_000),
    );
  });

  test('remaining units can be spent at once, and not one more', () => {
    fc.assert(
      fc.property(timelines(algorithm), ({ policy, steps }) => {
        const player = new Player(policy);
        for (const step of steps) player.play(step);
        const { remaining } = player.peek();
        assert.equal(player.peek(remaining).allowed, true);
        assert.equal(player.peek(remaining + 1).allowed, false);
      }),
      runs(2_000),
    );
  });

  test('nothing is charged any more after the reported reset, and something is a millisecond before', () => {
    fc.assert(
      fc.property(timelines(algorithm), ({ policy, steps }) => {
        const player = new Player(policy);
        for (const step of steps) player.play(step);
        const { resetAfterMs } = player.peek();
        if (resetAfterMs === 0) return;
        player.clock.advance(resetAfterMs - 1);
        assert.equal(player.peek().resetAfterMs, 1);
        player.clock.advance(1);
        const { remaining, resetAfterMs: left } = player.peek();
        assert.deepEqual([remaining, left], [policy.capacity, 0]);
      }),
      runs(2_000),
    );
  });

  test('a refund makes no room that the limit would not have without the request', () => {
    fc.assert(
      fc.property(
        timelines(algorithm).chain(({ policy, steps }) =>
          fc.record({
            policy: fc.constant(policy),
            steps: fc.constant(steps),
            given: fc.nat({ max: steps.length - 1 }),
            delayMs: fc.integer({ min: 0, max: policy.windowMs }),
          }),
        ),
        ({ policy, steps, given, delayMs }) => {
          const player = new Player(policy);
          const without = new Player(policy);
          // Two sliding windows with different charges merge different entries, so the reference is an exact log.
          const others: Admission[] = [];
          let refundable: Decision | undefined;
          steps.forEach((step, index) => {
            without.clock.advance(step.gapMs);
            const decision = player.play(step);
            if (!decision.allowed) return;
            if (index === given) refundable = decision;
            else {
              without.consume(step.cost);
              others.push({ atMs: decision.atMs, cost: step.cost });
            }
          });
          player.clock.advance(delayMs);
          without.clock.advance(delayMs);
          const before = player.peek().remaining;
          if (refundable?.receipt) player.store.refund([refundable]);
          const after = player.peek().remaining;
          assertWithin(after, before, before + (refundable?.charge.cost ?? 0));
          // Without the request that began it, a fixed window begins elsewhere.
          if (algorithm === 'token-bucket') assertWithin(after, 0, without.peek().remaining);
          if (algorithm === 'sliding-window') {
            const live = others.filter(({ atMs }) => atMs + policy.windowMs > player.clock.now());
            assertWithin(after, 0, policy.limit - live.reduce((sum, { cost }) => sum + cost, 0));
          }
        },
      ),
      runs(2_000),
    );
  });

  test('A45 a lowered limit locks nobody out for longer than a window', () => {
    fc.assert(
      fc.property(timelines(algorithm), fc.integer({ min: 1, max: 20 }), ({ policy, steps }, divisor) => {
        const player = new Player(policy);
        for (const step of steps) player.play(step);
        const limit = Math.ceil(policy.limit / divisor);
        const { name, scope, windowMs } = policy;
        const lowered = definePolicy({ name, scope, rate: { limit, windowMs }, algorithm });
        const after = new Player(lowered, player);
        const { allowed, retryAfterMs } = after.consume(1);
        if (allowed) return;
        assertWithin(retryAfterMs, 1, lowered.refillMs);
        after.clock.advance(retryAfterMs as number);
        assert.equal(after.consume(1).allowed, true);
      }),
      runs(2_000),
    );
  });

  test('A44 a clock that steps back does no harm', () => {
    fc.assert(
      fc.property(
        timelines(algorithm),
        fc.integer({ min: 1, max: 1_000_000_000 }),
        ({ policy, steps }, backMs) => {
          const player = new Player(policy);
          for (const step of steps) player.play(step);
          const before = player.peek().remaining;
          player.clock.set(player.clock.now() - backMs);
          assertWithin(player.peek().remaining, 0, before);
          // The next decision moves what lies ahead; from there on its wait holds.
          const { allowed, retryAfterMs } = player.consume(1);
          if (allowed) return;
          const longestMs = policy.windowMs + Math.ceil(policy.windowMs / 32);
          assertWithin(retryAfterMs, 0, longestMs);
          player.clock.advance(retryAfterMs as number);
          assert.equal(player.consume(1).allowed, true);
        },
      ),
      runs(2_000),
    );
  });
});

describe('sliding-window beside an exact log of the same admissions', () => {
  /** The wait of a log that keeps every admission until it is a window old. */
  const exactWait = (
    log: readonly Admission[],
    { limit, windowMs }: Policy,
    cost: number,
    nowMs: number,
  ): number => {
    const live = log.filter(({ atMs }) => atMs + windowMs > nowMs);
    let over = live.reduce((sum, admission) => sum + admission.cost, 0) + cost - limit;
    let waitMs = 0;
    for (const { atMs, cost: freed } of live) {
      if (over <= 0) break;
      over -= freed;
      waitMs = atMs + windowMs - nowMs;
    }
    return waitMs;
  };

  test('never waits less, and at most a 32nd of the window longer', () => {
    fc.assert(
      fc.property(timelines('sliding-window'), ({ policy, steps }) => {
        const player = new Player(policy);
        const log: Admission[] = [];
        for (const step of steps) {
          const { allowed, atMs, retryAfterMs } = player.play(step);
          if (step.cost > policy.limit || step.cost === 0) continue;
          const exact = exactWait(log, policy, step.cost, atMs);
          assertWithin(retryAfterMs, exact, exact + Math.ceil(policy.windowMs / 32));
          if (allowed) log.push({ atMs, cost: step.cost });
        }
      }),
      runs(2_000),
    );
  });

  test('A43 denies nobody who stays a 32nd of the limit below it', () => {
    fc.assert(
      fc.property(timelines('sliding-window'), ({ policy, steps }) => {
        const player = new Player(policy);
        const log: Admission[] = [];
        const most = policy.limit - Math.ceil(policy.limit / 32) + 1;
        for (const { gapMs, cost } of steps) {
          player.clock.advance(gapMs);
          const nowMs = player.clock.now();
          const used = log.reduce(
            (sum, { atMs, cost: units }) => (atMs + policy.windowMs > nowMs ? sum + units : sum),
            0,
          );
          if (cost === 0 || used + cost > most) continue;
          assert.equal(player.consume(cost).allowed, true);
          log.push({ atMs: nowMs, cost });
        }
      }),
      runs(2_000),
    );
  });

  test('is exact up to 96 charges, and with blocks up to a limit of 1000', () => {
    fc.assert(
      fc.property(
        policies('sliding-window')
          .filter(({ limit, isExact }) => limit <= 96 || isExact)
          .chain((policy) => stepsFor(policy).map((steps) => ({ policy, steps }))),
        ({ policy, steps }) => {
          const player = new Player(policy);
          const log: Admission[] = [];
          for (const step of steps) {
            const { allowed, atMs, retryAfterMs } = player.play(step);
            if (step.cost > policy.limit || step.cost === 0) continue;
            assert.equal(retryAfterMs, exactWait(log, policy, step.cost, atMs));
            if (allowed) log.push({ atMs, cost: step.cost });
          }
        },
      ),
      runs(2_000),
    );
  });
});
