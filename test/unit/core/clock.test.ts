import { afterEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '../../../lib/core/clock.js';

afterEach(() => {
  jest.useRealTimers();
});

test('systemClock returns the time of day in whole milliseconds', () => {
  const beforeMs = Date.now();
  const nowMs = systemClock.now();
  // On a busy machine any time may lie between two readings.
  const afterMs = Date.now();
  expect(nowMs).toBeGreaterThan(beforeMs - 1_000);
  expect(nowMs).toBeLessThan(afterMs + 1_000);
  expect(Number.isInteger(nowMs)).toBe(true);
});

test('fake timers advance it', () => {
  jest.useFakeTimers();
  const before = systemClock.now();
  jest.advanceTimersByTime(60_000);
  expect(systemClock.now() - before).toBe(60_000);
});

test('it does not follow changes of the wall clock', () => {
  const before = systemClock.now();
  jest.spyOn(Date, 'now').mockReturnValue(0);
  expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  jest.restoreAllMocks();
});
