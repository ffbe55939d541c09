import fc from 'fast-check';
import { TestClock } from 'nestjs-ratelimit/testing';
import {
  type Started,
  StoreTimeoutError,
  TimeoutQueue,
  withTimeout,
} from '../../../lib/resilience/timeout-queue.js';
import { CountedClock, DOWN, turn } from '../../support/held-store.js';

/** A question of a test. */
interface Named extends Started {
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
  /** What became of each question, and when. */
  const ends: string[] = [];
  const note = (what: string) => {
    ends.push(`${what} at ${clock.now() - startMs}`);
    return what;
  };
  const timeouts = new TimeoutQueue<Named, string, string>(budgetMs, counted, {
    onReply: ({ name }, reply) => note(`${name} ${reply}`),
    onError: ({ name }, error) => note(`${name} failed: ${(error as Error).message}`),
    onTimeout: ({ name }) => note(`${name} late`),
    onLateReply: ({ name }, reply) => {
      note(`${name} too late: ${reply}`);
      if (reply === 'throw') throw DOWN;
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
  return { clock, counted, ends, deadlines: timeouts, ask, pass };
};

describe('questions with one time budget', () => {
  test('one that is answered in time gives what becomes of the answer', async () => {
    const { ends, ask, pass } = setUp();
    const one = ask('one');
    await pass(60);
    one.give('yes');
    expect(await one.answer).toBe('one yes');
    await pass(1_000);
    expect(ends).toEqual(['one yes at 60']);
  });

  test('one that fails in time gives what becomes of the failure', async () => {
    const { ends, ask, pass } = setUp();
    const one = ask('one');
    one.fail(DOWN);
    expect(await one.answer).toBe('one failed: store is down');
    await pass(1_000);
    expect(ends).toHaveLength(1);
  });

  test('A37 one that is not answered in time ends with its budget, and not before', async () => {
    const { ends, ask, pass } = setUp();
    const one = ask('one');
    await pass(99);
    expect(ends).toEqual([]);
    await pass(1);
    expect(await one.answer).toBe('one late');
    expect(ends).toEqual(['one late at 100']);
  });

  test.each([10, 25, 100, 2_000])(
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

  test('with a budget of a millisecond it is over a millisecond later', async () => {
    const { ends, ask, pass } = setUp(1);
    void ask('one');
    await pass(1);
    expect(ends).toEqual(['one late at 1']);
  });

  test('each ends by itself, in the order in which they began', async () => {
    const { ends, ask, pass } = setUp();
    const [one, , three] = [ask('one'), ask('two'), ask('three')];
    await pass(50);
    ask('four');
    three.give('yes');
    await turn();
    await pass(50);
    one.give('yes');
    await turn();
    await pass(50);
    expect(ends).toEqual([
      'three yes at 50',
      'one late at 100',
      'two late at 100',
      'one too late: yes at 100',
      'four late at 150',
    ]);
  });

  test('many that are answered leave those among them that are not their time', async () => {
    const { ends, ask, pass } = setUp();
    const asked = Array.from({ length: 5_000 }, (_, i) => ask(String(i)));
    await pass(40);
    const last = ask('last');
    for (const [i, { give }] of asked.entries()) if (i % 2_000 !== 1_999) give('yes');
    await turn();
    expect(ends).toHaveLength(4_998);
    await pass(59);
    expect(ends).toHaveLength(4_998);
    await pass(1);
    expect(ends.slice(4_998)).toEqual(['1999 late at 100', '3999 late at 100']);
    await pass(40);
    expect(await last.answer).toBe('last late');
  });

  test('an answer that has arrived is taken, though the budget is over', async () => {
    const { clock, ends, ask } = setUp();
    const one = ask('one');
    const two = ask('two');
    // As when this process was busy: the timer comes first, then the socket is read.
    clock.advance(500);
    one.give('yes');
    expect(await one.answer).toBe('one yes');
    expect(await two.answer).toBe('two late');
    expect(ends).toEqual(['one yes at 500', 'two late at 500']);
  });

  test('an answer that comes too late is told as such, once; a failure is not', async () => {
    const { ends, ask, pass } = setUp();
    const [one, two] = [ask('one'), ask('two')];
    await pass(100);
    one.give('yes');
    two.fail(DOWN);
    await turn();
    expect(ends.slice(2)).toEqual(['one too late: yes at 100']);
    expect([await one.answer, await two.answer]).toEqual(['one late', 'two late']);
  });

  test('nobody hears of what a late answer throws', async () => {
    const { ends, ask, pass } = setUp();
    const one = ask('one');
    await pass(100);
    one.give('throw');
    await turn();
    expect(ends).toEqual(['one late at 100', 'one too late: throw at 100']);
    expect(await one.answer).toBe('one late');
  });

  test('A42 idle waits also for what is asked meanwhile', async () => {
    const { counted, deadlines: timeouts, ask } = setUp();
    const [one, two] = [ask('one'), replyLater()];
    let isIdle = false;
    const second = one.answer.then(() => timeouts.wait({ name: 'two', startedMs: 0 }, two.promise));
    const idle = timeouts.idle().then(() => {
      isIdle = true;
    });
    one.give('yes');
    await turn();
    expect(isIdle).toBe(false);
    two.give('yes');
    await Promise.all([second, idle]);
    expect(counted.running).toBe(0);
  });

  test('what is thrown of an answer is thrown to the one who asked', async () => {
    const fail = (): never => {
      throw DOWN;
    };
    const clock = new TestClock();
    const question = { name: 'one', startedMs: clock.now() };
    const timeouts = new TimeoutQueue<Named, string, string>(100, clock, {
      onReply: fail,
      onError: fail,
      onTimeout: fail,
      onLateReply: () => undefined,
    });
    await expect(timeouts.wait(question, Promise.resolve('yes'))).rejects.toBe(DOWN);
    await expect(timeouts.wait(question, Promise.reject(new Error('other')))).rejects.toBe(DOWN);
    const late = timeouts.wait(question, new Promise(() => undefined));
    clock.advance(100);
    await expect(late).rejects.toBe(DOWN);
    await timeouts.idle();
  });

  test('an answer to an answer may come later', async () => {
    const timeouts = new TimeoutQueue<Named, string, string>(100, new TestClock(), {
      onReply: async (_question, reply) => `${reply}, later`,
      onError: () => '',
      onTimeout: () => '',
      onLateReply: () => undefined,
    });
    expect(await timeouts.wait({ name: 'one', startedMs: 0 }, Promise.resolve('yes'))).toBe('yes, later');
  });
});

describe('the timer of questions', () => {
  test('A42 runs while something waits, one for all, and ends by itself', async () => {
    const { counted, ask, pass } = setUp();
    expect(counted.running).toBe(0);
    const [one, two] = [ask('one'), ask('two')];
    expect(counted.running).toBe(1);
    one.give('yes');
    await turn();
    await pass(50);
    expect(counted.running).toBe(1);
    two.give('yes');
    await turn();
    await pass(60);
    expect(counted.running).toBe(0);
  });

  test('A42 ends after questions that were late', async () => {
    const { counted, ask, pass } = setUp();
    void ask('one');
    await pass(100);
    await pass(10);
    expect(counted.running).toBe(0);
  });

  test('runs again for questions that come afterwards', async () => {
    const { counted, ends, ask, pass } = setUp();
    for (const question of ['one', 'two', 'three']) {
      void ask(question);
      await pass(100);
      await pass(10);
      expect(counted.running).toBe(0);
    }
    expect(ends).toHaveLength(3);
  });
});

describe('waiting until nothing waits', () => {
  test('is over at once where nothing does', async () => {
    const { deadlines: timeouts, ask, counted } = setUp();
    await timeouts.idle();
    const one = ask('one');
    one.give('yes');
    await one.answer;
    await timeouts.idle();
    expect(counted.running).toBe(0);
  });

  test('lasts until the last one has ended, and leaves no timer', async () => {
    const { deadlines: timeouts, counted, ask, pass } = setUp();
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

  test('leaves no question without an end that comes up as the last one ends', async () => {
    const { deadlines: timeouts, ask, pass } = setUp();
    const one = ask('one');
    let second: string | null = null;
    // As a request does whose limits are decided in two stages.
    void one.answer.then(async () => {
      second = await ask('two').answer;
    });
    void timeouts.idle();
    one.give('yes');
    await turn();
    await pass(110);
    expect(second).toBe('two late');
  });
});

describe('a call with a time of its own', () => {
  test('gives what it gives, at once or later, and leaves no timer', async () => {
    const counted = new CountedClock(new TestClock());
    expect(await withTimeout(100, counted, () => 'now')).toBe('now');
    expect(await withTimeout(100, counted, async () => 'later')).toBe('later');
    expect(counted.running).toBe(0);
  });

  test('throws what it throws, at once or later, and leaves no timer', async () => {
    const counted = new CountedClock(new TestClock());
    const throwing = (): never => {
      throw DOWN;
    };
    await expect(withTimeout(100, counted, throwing)).rejects.toBe(DOWN);
    await expect(withTimeout(100, counted, async () => throwing())).rejects.toBe(DOWN);
    expect(counted.running).toBe(0);
  });

  test('ends when its time is over, and not before; what comes of it then is not heard', async () => {
    const clock = new TestClock();
    const counted = new CountedClock(clock);
    let fail: (error: Error) => void = () => undefined;
    let ended: unknown = null;
    const call = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const asked = withTimeout(100, counted, () => call).catch((error: unknown) => {
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
    // Unheard: else Node would end the process.
    fail(DOWN);
    await turn();
  });
});
