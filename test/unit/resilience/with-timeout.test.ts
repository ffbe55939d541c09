import { TestClock } from 'nestjs-ratelimit/testing';
import { StoreTimeoutError, withTimeout } from '../../../lib/resilience/timeout-queue.js';
import { CountedClock, DOWN, turn } from '../../support/held-store.js';

const setUp = () => {
  const clock = new TestClock();
  return { clock, counted: new CountedClock(clock) };
};

describe('a call with a time of its own', () => {
  test('gives what it gives, at once or later, and leaves no timer', async () => {
    const { counted } = setUp();
    expect(await withTimeout(100, counted, () => 'now')).toBe('now');
    expect(await withTimeout(100, counted, async () => 'later')).toBe('later');
    expect(counted.running).toBe(0);
  });

  test('throws what it throws, at once or later, and leaves no timer', async () => {
    const { counted } = setUp();
    const throwing = (): never => {
      throw DOWN;
    };
    await expect(withTimeout(100, counted, throwing)).rejects.toBe(DOWN);
    await expect(withTimeout(100, counted, async () => throwing())).rejects.toBe(DOWN);
    expect(counted.running).toBe(0);
  });

  test('ends when its time is over, and not before; what comes of it then is not heard', async () => {
    const { clock, counted } = setUp();
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
    expect((ended as Error).message).toBe('The store gave no answer within 100 ms.');
    expect(counted.running).toBe(0);
    // Unheard: else Node would end the process.
    fail(DOWN);
    await turn();
  });
});
