import fc from 'fast-check';
import { TestClock } from 'nestjs-ratelimit/testing';
import { CircuitBreaker } from '../../../lib/resilience/circuit-breaker.js';
import { CountedClock, turn } from '../../support/held-store.js';

const first = new Error('first');
const last = new Error('last');

const always = (chance: number) => () => chance;

const setUp = ({ threshold = 3, initialBackoffMs = 100, random = always(1) } = {}) => {
  const clock = new TestClock();
  const counted = new CountedClock(clock);
  const states: string[] = [];
  const probes: { readonly atMs: number; succeed(): Promise<void>; fail(): Promise<void> }[] = [];
  const startMs = clock.now();
  const breaker: CircuitBreaker = new CircuitBreaker(
    { threshold, initialBackoffMs },
    counted,
    {
      probe: () =>
        new Promise<void>((resolve, reject) => {
          const then = (settle: () => void) => () => {
            settle();
            return turn();
          };
          probes.push({
            atMs: clock.now() - startMs,
            succeed: then(resolve),
            fail: then(() => reject(last)),
          });
        }),
      onStateChange: (state) => states.push(state),
    },
    random,
  );
  const open = () => {
    for (let i = 0; i < threshold; i++) breaker.onFailure(first);
  };
  /** Fails every probe for a while, and tells the pauses between them. */
  const pausesIn = async (count: number) => {
    const pauses: number[] = [];
    for (let i = 0; i < count; i++) {
      const fromMs = clock.now();
      while (probes.length === i) clock.advance(1);
      pauses.push(clock.now() - fromMs);
      await probes[i]?.fail();
    }
    return pauses;
  };
  return { clock, counted, breaker, states, probes, open, pausesIn };
};

describe('A38 a breaker', () => {
  test('opens with as many failures in a row as its threshold, and not before', () => {
    const { breaker, states } = setUp();
    breaker.onFailure(first);
    breaker.onFailure(first);
    expect([breaker.state, breaker.failures, states]).toEqual(['closed', 2, []]);
    breaker.onFailure(last);
    expect([breaker.state, breaker.failures, breaker.error, states]).toEqual(['open', 3, last, ['open']]);
  });

  test('counts afresh after an answer', () => {
    const { clock, breaker } = setUp();
    for (let i = 0; i < 10; i++) {
      breaker.onFailure(first);
      breaker.onFailure(first);
      breaker.onSuccess(clock.now());
    }
    expect([breaker.state, breaker.failures]).toEqual(['closed', 0]);
  });

  test('opens at once where it is told so', () => {
    const { breaker, states } = setUp();
    breaker.trip(first);
    expect([breaker.state, breaker.failures, breaker.error, states]).toEqual(['open', 1, first, ['open']]);
  });

  test('probes once its pause is over, and not before', () => {
    const { clock, breaker, probes, open } = setUp();
    open();
    clock.advance(99);
    expect([probes.length, breaker.state]).toEqual([0, 'open']);
    clock.advance(1);
    expect([probes.length, breaker.state]).toEqual([1, 'half-open']);
  });

  test('has one probe under way at a time, however long that takes', async () => {
    const { clock, breaker, probes, open } = setUp();
    open();
    clock.advance('1h');
    await turn();
    expect([probes.length, breaker.state]).toEqual([1, 'half-open']);
    await probes[0]?.fail();
    clock.advance('1h');
    expect(probes).toHaveLength(2);
  });

  test('is closed by a probe that succeeds, and knows of no failure any more', async () => {
    const { clock, counted, breaker, probes, states, open } = setUp();
    open();
    clock.advance(100);
    await probes[0]?.succeed();
    expect(states).toEqual(['open', 'half-open', 'closed']);
    expect([breaker.state, breaker.failures, breaker.error, counted.running]).toEqual([
      'closed',
      0,
      undefined,
      0,
    ]);
    breaker.onFailure(first);
    breaker.onFailure(first);
    expect(breaker.state).toBe('closed');
  });

  test('stays open after a probe that fails, and says what failed last', async () => {
    const { clock, breaker, probes, states, open } = setUp();
    open();
    clock.advance(100);
    await probes[0]?.fail();
    expect([breaker.state, breaker.failures, breaker.error]).toEqual(['open', 4, last]);
    expect(states).toEqual(['open', 'half-open', 'open']);
  });

  test.each<[string, Parameters<typeof setUp>[0], number[]]>([
    ['twice as long after each probe that fails, up to a second', {}, [100, 200, 400, 800, 1_000, 1_000]],
    ['never for longer than a second', { initialBackoffMs: 5_000 }, [1_000, 1_000, 1_000]],
    ['shorter by chance, by half at most', { random: always(0) }, [50, 100, 200, 400, 500, 500]],
    ['for a millisecond at least', { initialBackoffMs: 1, random: always(0) }, [1]],
  ])('pauses %s', async (_how, options, pauses) => {
    const { open, pausesIn } = setUp(options);
    open();
    expect(await pausesIn(pauses.length)).toEqual(pauses);
  });

  test('pauses as at first when it opens anew', async () => {
    const { clock, open, probes, breaker, pausesIn } = setUp();
    open();
    await pausesIn(3);
    clock.advance(1_000);
    await probes[3]?.succeed();
    open();
    expect(breaker.retryAfterMs).toBe(100);
  });

  test('pauses for half of its pause at least, and for all of it at most, whatever the chance', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 1, max: 1_000 }),
        async (chance, initialBackoffMs) => {
          const { open, pausesIn } = setUp({ initialBackoffMs, random: always(chance) });
          open();
          const [pause] = await pausesIn(1);
          expect(pause).toBeGreaterThanOrEqual(initialBackoffMs / 2);
          expect(pause).toBeLessThanOrEqual(initialBackoffMs);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('tells how long it is until the next probe', async () => {
    const { clock, breaker, probes, open } = setUp();
    expect(breaker.retryAfterMs).toBe(0);
    open();
    clock.advance(30);
    expect(breaker.retryAfterMs).toBe(70);
    clock.advance(70);
    expect(breaker.retryAfterMs).toBe(0);
    await probes[0]?.fail();
    expect(breaker.retryAfterMs).toBe(200);
  });

  test('takes no notice of calls that end while it is not closed', async () => {
    const { clock, breaker, probes, states, open } = setUp();
    open();
    clock.advance(60);
    breaker.onFailure(last);
    breaker.onSuccess(clock.now());
    expect([breaker.state, breaker.failures, breaker.error, breaker.retryAfterMs]).toEqual([
      'open',
      3,
      first,
      40,
    ]);
    clock.advance(40);
    breaker.onFailure(last);
    breaker.onSuccess(clock.now());
    expect([breaker.state, probes.length, states.length]).toEqual(['half-open', 1, 2]);
  });

  test('takes no notice of a call from before it was closed again that fails now', async () => {
    const { clock, breaker, probes, open } = setUp({ threshold: 1 });
    const startedMs = clock.now();
    open();
    clock.advance(100);
    await probes[0]?.succeed();
    breaker.onFailure(first, startedMs);
    expect([breaker.state, breaker.failures]).toEqual(['closed', 0]);
    breaker.onFailure(first, clock.now());
    expect(breaker.state).toBe('open');
  });
});

describe('A38 a breaker that is told to probe at once', () => {
  test('does so instead of at the end of its pause', async () => {
    const { clock, counted, breaker, probes, open } = setUp();
    open();
    clock.advance(30);
    breaker.probeNow();
    expect([probes.length, breaker.state, breaker.retryAfterMs]).toEqual([1, 'half-open', 0]);
    clock.advance('1h');
    expect([probes.length, counted.running]).toEqual([1, 0]);
    await probes[0]?.fail();
    expect([breaker.state, breaker.retryAfterMs]).toEqual(['open', 200]);
  });

  test('has one probe under way at a time, and does so once a pause', async () => {
    const { clock, breaker, probes, open } = setUp();
    open();
    breaker.probeNow();
    breaker.probeNow();
    expect(probes).toHaveLength(1);
    await probes[0]?.fail();
    breaker.probeNow();
    expect(probes).toHaveLength(1);
    clock.advance(200);
    await probes[1]?.fail();
    breaker.probeNow();
    expect(probes).toHaveLength(3);
    await probes[2]?.succeed();
    open();
    breaker.probeNow();
    expect(probes).toHaveLength(4);
  });

  test('does nothing while it is closed, nor once it is let go', () => {
    const { breaker, probes, states, open } = setUp();
    breaker.probeNow();
    expect([probes, states]).toEqual([[], []]);
    open();
    breaker.stop();
    breaker.probeNow();
    expect(probes).toEqual([]);
  });
});

describe('a breaker that is let go', () => {
  test('A42 probes no more, whether it was closed or open', () => {
    for (const isOpenBefore of [false, true]) {
      const { clock, counted, breaker, probes, open } = setUp();
      if (isOpenBefore) open();
      breaker.stop();
      open();
      clock.advance('1h');
      expect([probes.length, counted.running]).toEqual([0, 0]);
    }
  });

  test.each(['succeed', 'fail'] as const)(
    'A42 neither probes nor tells of anything after a probe that was under way and may %s',
    async (end) => {
      const { clock, counted, breaker, probes, states, open } = setUp();
      open();
      clock.advance(100);
      breaker.stop();
      await probes[0]?.[end]();
      clock.advance('1h');
      expect([states, probes.length, counted.running]).toEqual([['open', 'half-open'], 1, 0]);
    },
  );
});
