import fc from 'fast-check';
import { TestClock } from 'nestjs-ratelimit/testing';
import { StoreTimeoutError, TimeoutQueue, withTimeout } from '../../../lib/resilience/timeout-queue.js';
import { CountedClock, DOWN, turn } from '../../support/held-store.js';

interface Named {
  readonly startedMs: number;
  readonly name: string;
}

/** A reply that a test gives when it likes. */
const replyLater = () => {
  let give: (reply: string) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise<string>((resolve, reject) => {
    give = resolve;
    fail = reject;
  });
  return { promise, give, fail };
};

const setUp = (budgetMs = 100) => {
  const clock = new TestClock();
  const counted = new CountedClock(clock);
  const startMs = clock.now();
  /** The end of each call, and its time. */
  const ends: string[] = [];
  const note = (end: string) => {
    ends.push(`${end} at ${clock.now() - startMs}`);
    if (end.endsWith('throw')) throw DOWN;
    return end;
  };
  const timeouts = new TimeoutQueue<Named, string, string>(budgetMs, counted, {
    onReply: ({ name }, reply) => note(`${name} ${reply}`),
    onError: ({ name }, error) =>
      note(
        error instanceof StoreTimeoutError ? `${name} late` : `${name} failed: ${(error as Error).message}`,
      ),
    onLateReply: ({ name }, reply) => {
      note(`${name} too late: ${reply}`);
    },
  });
  const ask = (name: string) => {
    const reply = replyLater();
    return { ...reply, answer: timeouts.wait({ name, startedMs: clock.now() }, reply.promise) };
  };
  const pass = async (ms: number) => {
    clock.advance(ms);
    await turn();
  };
  return { clock, counted, ends, timeouts, ask, pass };
};

describe('calls with one time budget', () => {
  test('each ends once, by its reply, its failure or its timeout, in the order in which they began', async () => {
    const { ends, ask, pass } = setUp();
    const [one, two, three, four] = [ask('one'), ask('two'), ask('three'), ask('four')];
    await pass(50);
    const five = ask('five');
    three.give('yes');
    four.fail(DOWN);
    await turn();
    await pass(49);
    expect(ends).toEqual(['three yes at 50', 'four failed: store is down at 50']);
    await pass(1);
    one.give('yes');
    two.fail(DOWN);
    await turn();
    await pass(50);
    await pass(1_000);
    // A failure that comes too late is dropped.
    expect(ends.slice(2)).toEqual([
      'one late at 100',
      'two late at 100',
      'one too late: yes at 100',
      'five late at 150',
    ]);
    expect(await Promise.all([one, two, three, four, five].map(({ answer }) => answer))).toEqual([
      'one late',
      'two late',
      'three yes',
      'four failed: store is down',
      'five late',
    ]);
  });

  test.each([1, 10, 25, 100, 2_000])(
    'A37 with a budget of %i ms none ends before it, nor more than a tenth after it',
    async (budgetMs) => {
      const gaps = fc.array(fc.integer({ min: 0, max: Math.ceil(budgetMs / 2) }), {
        minLength: 1,
        maxLength: 12,
      });
      await fc.assert(
        fc.asyncProperty(gaps, async (given) => {
          const { clock, ask } = setUp(budgetMs);
          const waits: number[] = [];
          const pass = async (ms: number) => {
            for (let i = 0; i < ms; i++) {
              clock.advance(1);
              await turn();
            }
          };
          for (const gapMs of given) {
            await pass(gapMs);
            const fromMs = clock.now();
            void ask('one').answer.then(() => waits.push(clock.now() - fromMs));
          }
          await pass(1.1 * budgetMs);
          expect(waits).toHaveLength(given.length);
          for (const waitMs of waits) {
            expect(waitMs).toBeGreaterThanOrEqual(budgetMs);
            expect(waitMs).toBeLessThanOrEqual(1.1 * budgetMs);
          }
        }),
        { numRuns: budgetMs > 1_000 ? 3 : 30 },
      );
    },
  );

  test('a reply that has arrived is taken, though the budget is over', async () => {
    const { clock, ends, ask } = setUp();
    const one = ask('one');
    const two = ask('two');
    // As when this process was busy: the timer comes first, then the socket is read.
    clock.advance(500);
    one.give('yes');
    expect(await two.answer).toBe('two late');
    expect(ends).toEqual(['one yes at 500', 'two late at 500']);
  });

  test('an error in a handler rejects its call; in that of a late reply it is dropped', async () => {
    const { ends, ask, pass } = setUp();
    const [one, two, three, four] = [ask('one'), ask('two'), ask('three'), ask('four')];
    one.give('throw');
    await expect(one.answer).rejects.toBe(DOWN);
    two.fail(new Error('throw'));
    await expect(two.answer).rejects.toBe(DOWN);
    await pass(100);
    three.give('throw');
    await turn();
    expect(ends.at(-1)).toBe('three too late: throw at 100');
    expect(await Promise.all([three.answer, four.answer])).toEqual(['three late', 'four late']);
  });
});

describe('the timer of calls', () => {
  test('A42 runs while a call waits, one for all, and ends by itself, each time', async () => {
    const { counted, ask, pass } = setUp();
    for (let round = 0; round < 3; round++) {
      expect(counted.running).toBe(0);
      const one = ask('one');
      ask('two');
      expect(counted.running).toBe(1);
      one.give('yes');
      await pass(50);
      expect(counted.running).toBe(1);
      // The second one is late.
      await pass(50);
      await pass(10);
    }
    expect(counted.running).toBe(0);
  });
});

describe('waiting until no call waits', () => {
  test('is over immediately if none does', async () => {
    const { timeouts, ask, counted } = setUp();
    await timeouts.idle();
    const one = ask('one');
    one.give('yes');
    await one.answer;
    await timeouts.idle();
    expect(counted.running).toBe(0);
  });

  test('A42 lasts until the last one has ended, and leaves no timer', async () => {
    const { timeouts, counted, ask, pass } = setUp();
    const [one, two] = [ask('one'), ask('two'), ask('three')];
    let isIdle = false;
    const idle = Promise.all([timeouts.idle(), timeouts.idle()]).then(() => {
      isIdle = true;
    });
    one.give('yes');
    two.fail(DOWN);
    await turn();
    expect(isIdle).toBe(false);
    await pass(100);
    await idle;
    expect(counted.running).toBe(0);
  });

  test('A42 lasts until a call has ended that is made as the last one ends', async () => {
    const { timeouts, ends, counted, ask, pass } = setUp();
    const one = ask('one');
    // As a request does whose limits are decided in two phases.
    void one.answer.then(() => ask('two'));
    const idle = timeouts.idle();
    one.give('yes');
    await turn();
    await pass(110);
    await idle;
    expect([ends.at(-1), counted.running]).toEqual(['two late at 110', 0]);
  });
});

describe('a call with a time of its own', () => {
  const throwing = (): never => {
    throw DOWN;
  };

  test('returns or throws what the call does, synchronously or later, and leaves no timer', async () => {
    const counted = new CountedClock(new TestClock());
    expect(await withTimeout(100, counted, () => 'now')).toBe('now');
    expect(await withTimeout(100, counted, async () => 'later')).toBe('later');
    await expect(withTimeout(100, counted, throwing)).rejects.toBe(DOWN);
    await expect(withTimeout(100, counted, async () => throwing())).rejects.toBe(DOWN);
    expect(counted.running).toBe(0);
  });

  test('ends when its time is over, and not before; a later failure is dropped', async () => {
    const clock = new TestClock();
    const counted = new CountedClock(clock);
    const { promise, fail } = replyLater();
    let ended: unknown = null;
    const asked = withTimeout(100, counted, () => promise).catch((error: unknown) => {
      ended = error;
    });
    clock.advance(99);
    await turn();
    expect(ended).toBeNull();
    clock.advance(1);
    await asked;
    expect(ended).toBeInstanceOf(StoreTimeoutError);
    expect((ended as Error).message).toBe('The store did not respond within 100 ms.');
    expect(counted.running).toBe(0);
    // An unhandled rejection would end the process.
    fail(DOWN);
    await turn();
  });
});
