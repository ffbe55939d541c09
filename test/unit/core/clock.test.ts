import { afterEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '../../../lib/core/clock.js';

afterEach(() => {
  jest.useRealTimers();
});

test('the clock of the system tells the time of day, in whole milliseconds', () => {
  const apart = systemClock.now() - Date.now();
  expect(Math.abs(apart)).toBeLessThan(1_000);
  expect(Number.isInteger(systemClock.now())).toBe(true);
});

test('fake timers turn it, as they turn all else in the tests of an application', () => {
  jest.useFakeTimers();
  const before = systemClock.now();
  jest.advanceTimersByTime(60_000);
  expect(systemClock.now() - before).toBe(60_000);
});

test('a wall clock that is set does not move it', () => {
  const before = systemClock.now();
  jest.spyOn(Date, 'now').mockReturnValue(0);
  expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  jest.restoreAllMocks();
});
