import { formatDuration, retryAfterSeconds, toSeconds } from '../../../lib/http/duration-words.js';

test('seconds are rounded up, and a wait is at least one second', () => {
  expect([0, 1, 999, 1_000, 1_001].map(toSeconds)).toEqual([0, 1, 1, 1, 2]);
  expect([0, 600, 1_000, 1_001, null].map(retryAfterSeconds)).toEqual([1, 1, 1, 2, null]);
});

test.each([
  [1, '1 second'],
  [59, '59 seconds'],
  [60, '1 minute'],
  [61, '1 minute 1 second'],
  [872, '14 minutes 32 seconds'],
  [3_600, '1 hour'],
  [3_601, '1 hour'],
  [5_400, '1 hour 30 minutes'],
  [86_400, '1 day'],
  [90_061, '1 day 1 hour'],
  [604_800, '7 days'],
])('%d seconds in words: %s', (seconds, words) => {
  expect(formatDuration(seconds)).toBe(words);
});
