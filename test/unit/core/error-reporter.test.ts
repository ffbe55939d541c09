import { TestClock } from 'nestjs-ratelimit/testing';
import { throttled } from '../../../lib/core/error-reporter.js';

const setUp = () => {
  const lines: string[] = [];
  const clock = new TestClock();
  return { clock, lines, report: throttled(clock, (text) => lines.push(text)) };
};

describe('throttled', () => {
  test('logs the same message of a source once a minute, with the number of repetitions', () => {
    const { clock, lines, report } = setUp();
    for (let i = 0; i < 4; i++) report('Shop.get', 'It failed.');
    clock.advance(59_999);
    report('Shop.get', 'It failed.');
    expect(lines).toEqual(['Shop.get: It failed.']);
    clock.advance(1);
    report('Shop.get', 'It failed.');
    clock.advance('1min');
    report('Shop.get', 'It failed.');
    expect(lines.slice(1)).toEqual([
      'Shop.get: It failed. (4 more since the last time)',
      'Shop.get: It failed.',
    ]);
  });

  test('other sources and messages are logged separately', () => {
    const { lines, report } = setUp();
    report('Shop.get', 'It failed.');
    report('Shop.put', 'It failed.');
    report('Shop.get', 'It broke.');
    expect(lines).toEqual(['Shop.get: It failed.', 'Shop.put: It failed.', 'Shop.get: It broke.']);
  });

  test('messages that differ only in their detail are the same', () => {
    const { lines, report } = setUp();
    for (let i = 0; i < 100; i++) report('Shop.get', 'It failed.', `value ${i}`);
    expect(lines).toEqual(['Shop.get: It failed. It was "value 0".']);
  });

  test.each<[string, unknown, string]>([
    ['a text', 'a value', 'It was "a value".'],
    ['an error', new Error('no database'), 'Cause: "no database"'],
    ['several lines', 'a\nERROR forged\r\tb', 'It was "a\\nERROR forged\\r\\tb".'],
    ['an error of several lines', new Error('a\nERROR forged'), 'Cause: "a\\nERROR forged"'],
    ['a long error', new Error('x'.repeat(1_000_000)), `Cause: "${'x'.repeat(500)} ..."`],
    [
      'a long error of several words',
      new Error('word '.repeat(1_000)),
      `Cause: "${'word '.repeat(100).trim()} ..."`,
    ],
    ['quotes', '" It is fine. "', 'It was "\\" It is fine. \\"".'],
  ])('%s is logged on one short line', (_what, detail, shown) => {
    const { lines, report } = setUp();
    report('Shop.get', 'It failed.', detail);
    expect(lines).toEqual([`Shop.get: It failed. ${shown}`]);
  });

  test('the detail comes before the count', () => {
    const { clock, lines, report } = setUp();
    report('Shop.get', 'It failed.', 'a');
    report('Shop.get', 'It failed.', 'b');
    clock.advance('1min');
    report('Shop.get', 'It failed.', 'c');
    expect(lines[1]).toBe('Shop.get: It failed. It was "c". (1 more since the last time)');
  });

  test('two reporters count separately', () => {
    const { lines, report } = setUp();
    const other = setUp();
    report('Shop.get', 'It failed.');
    other.report('Shop.get', 'It failed.');
    expect([lines, other.lines]).toEqual([['Shop.get: It failed.'], ['Shop.get: It failed.']]);
  });
});
