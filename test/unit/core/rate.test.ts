import fc from 'fast-check';
import { parseDuration, UNIT_NAMES, UNITS_MS } from '../../../lib/core/duration.js';
import { RateLimitConfigError } from '../../../lib/core/errors.js';
import { parseRate, rate } from '../../../lib/core/rate.js';

describe('rates', () => {
  test('every unit, singular and plural, with and without a count', () => {
    const names = 's sec second seconds m min minute minutes h hr hour hours d day days w week weeks'.split(
      ' ',
    );
    expect([...UNIT_NAMES].sort()).toEqual([...names].sort());
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1_000_000 }),
        fc.integer({ min: 1, max: 100 }),
        fc.constantFrom(...UNIT_NAMES),
        (limit, count, unit) => {
          expect(rate(`${limit}/${unit}`)).toEqual({ limit, windowMs: UNITS_MS[unit] });
          expect(rate(`${limit}/${count}${unit}`)).toEqual({ limit, windowMs: count * UNITS_MS[unit] });
          expect(parseDuration(`${count}${unit}`)).toBe(count * UNITS_MS[unit]);
        },
      ),
    );
  });

  test('any other text is an error that quotes it', () => {
    const thrownFor = (text: string): unknown => {
      try {
        return rate(text);
      } catch (error) {
        return error;
      }
    };
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!/^\d+\/\d*[a-z]+$/.test(text) && text !== 'unlimited');
        return thrownFor(text) instanceof RateLimitConfigError;
      }),
      { numRuns: 2_000 },
    );
    expect(() => rate('ten a day')).toThrow('[bad-rate] "ten a day" is not a rate.');
  });

  test('an error names the given source and the unknown unit', () => {
    const problemOf = (...given: Parameters<typeof rate>) => {
      try {
        rate(...given);
      } catch (error) {
        return (error as RateLimitConfigError).problems[0];
      }
      return undefined;
    };
    expect(problemOf('abc', 'LOGIN_RATE')).toMatchObject({ code: 'bad-rate', source: 'LOGIN_RATE' });
    expect(problemOf('5/0s', 'LOGIN_RATE')?.source).toBe('LOGIN_RATE');
    expect(problemOf('abc')?.source).toBe('');
    expect(() => rate('abc', 'LOGIN_RATE')).toThrow('[bad-rate] LOGIN_RATE: "abc" is not a rate.');
    expect(() => rate('abc')).toThrow('[bad-rate] "abc" is not a rate.');
    for (const [text, unit] of [
      ['5/month', 'month'],
      ['5/15mins', 'mins'],
      ['5/H', 'H'],
    ] as const) {
      expect(problemOf(text)?.message).toBe(
        `"${text}" is not a rate: "${unit}" is not one of the units ${UNIT_NAMES.join(', ')}.`,
      );
    }
    expect(problemOf('five/min')?.message).toBe('"five/min" is not a rate.');
  });

  test('unlimited is null, and a rate is frozen', () => {
    expect([rate('unlimited'), parseRate(null), parseRate('unlimited')]).toEqual([null, null, null]);
    expect(Object.isFrozen(rate('5/min'))).toBe(true);
  });

  test('an object may have a burst', () => {
    expect(parseRate({ limit: 5, window: '1min', burst: 10 })).toEqual({
      limit: 5,
      windowMs: 60_000,
      burst: 10,
    });
    for (const burst of [0, -1, 1.5])
      expect(() => parseRate({ limit: 5, window: '1min', burst })).toThrow('[bad-burst]');
  });

  test('durations have bounds', () => {
    for (const text of ['', '0s', '5', 's', '1.5h', '-1h', '1 h', '3651d', '1year']) {
      expect(() => parseDuration(text)).toThrow('[bad-duration]');
    }
    expect(parseDuration('3650d')).toBe(3_650 * 86_400_000);
  });
});
