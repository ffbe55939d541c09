import { afterEach, expect, jest, test } from '@jest/globals';
import { steadyClock, systemClock } from '../../../lib/core/clock.js';

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

test.each([
  ['forward', 3_600_000],
  ['back', -3_600_000],
])('A46 it follows within a second if the wall clock is set %s', (_where, stepMs) => {
  jest.useFakeTimers();
  jest.advanceTimersByTime(3_600_000);
  systemClock.now();
  jest.setSystemTime(Date.now() + stepMs);
  jest.advanceTimersByTime(1_000);
  expect(systemClock.now()).toBe(Date.now());
});

test('steadyClock never steps, so a timeout lasts as long as it says', () => {
  jest.useFakeTimers();
  const before = steadyClock.now();
  jest.setSystemTime(Date.now() - 3_600_000);
  jest.advanceTimersByTime(2_000);
  expect(steadyClock.now() - before).toBe(2_000);
});

test('it does not follow small differences, and so goes evenly while the wall clock is adjusted', () => {
  jest.useFakeTimers();
  jest.advanceTimersByTime(3_600_000);
  const before = systemClock.now();
  jest.setSystemTime(Date.now() + 999);
  jest.advanceTimersByTime(1_000);
  expect(systemClock.now() - before).toBe(1_000);
});
