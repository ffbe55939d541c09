import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { TestClock } from 'nestjs-ratelimit/testing';
import { type LoadLevel, type LoadSample, type LoadThresholds, loadMeter } from '../../../lib/plan/load.js';
import { turn } from '../../support/held-store.js';
import { until } from '../../support/until.js';

/** A meter of a load that the test sets, and the level after a while of it. */
const setUp = (thresholds?: LoadThresholds) => {
  const clock = new TestClock();
  let load: LoadSample = { utilization: 0, delayMs: 0 };
  const measure = jest.fn(() => load);
  const meter = loadMeter({ clock, measure, thresholds });
  return {
    clock,
    meter,
    measure,
    /** The level at each half second of `count` under a load. */
    under(given: Partial<LoadSample>, count = 1) {
      load = { utilization: 0, delayMs: 0, ...given };
      return Array.from({ length: count }, () => {
        clock.advance(500);
        return meter();
      });
    },
  };
};

describe('the load of a process', () => {
  test.each<[Partial<LoadSample>, string]>([
    [{}, 'normal'],
    [{ utilization: 0.69 }, 'normal'],
    [{ utilization: 0.7 }, 'elevated'],
    [{ utilization: 0.89 }, 'elevated'],
    [{ utilization: 0.9 }, 'critical'],
    [{ delayMs: 69 }, 'normal'],
    [{ delayMs: 70 }, 'elevated'],
    [{ delayMs: 249 }, 'elevated'],
    [{ delayMs: 250 }, 'critical'],
    [{ utilization: 0.7, delayMs: 250 }, 'critical'],
  ])('%j is %s', (load, level) => {
    expect(setUp().under(load)).toEqual([level]);
  });

  test('each threshold can be set separately', () => {
    const thresholds = { elevated: { utilization: 0.2 }, critical: { delayMs: 100 } };
    expect(setUp(thresholds).under({ utilization: 0.2 })).toEqual(['elevated']);
    expect(setUp(thresholds).under({ utilization: 0.89 })).toEqual(['elevated']);
    expect(setUp(thresholds).under({ delayMs: 100 })).toEqual(['critical']);
  });

  test('short peaks are smoothed, lasting ones are not', () => {
    const { under } = setUp();
    expect(under({ utilization: 0.2 }, 4)).not.toContain('elevated');
    expect(under({ utilization: 1 })).toEqual(['normal']);
    expect(under({ utilization: 0.2 }, 3)).toEqual(['normal', 'normal', 'normal']);
    const lasting = under({ utilization: 1 }, 10);
    expect(lasting[0]).toBe('normal');
    expect(lasting).toContain('elevated');
    expect(lasting.at(-1)).toBe('critical');
  });

  test('a level ends at four fifths of its threshold, so that it does not flicker', () => {
    const { under } = setUp();
    under({ utilization: 0.7 });
    expect(new Set(under({ utilization: 0.57 }, 40))).toEqual(new Set(['elevated']));
    expect(under({ utilization: 0.55 }, 40).at(-1)).toBe('normal');
    expect(new Set(under({ utilization: 0.69 }, 40))).toEqual(new Set(['normal']));
    under({ utilization: 1 }, 40);
    expect(new Set(under({ utilization: 0.73 }, 40))).toEqual(new Set(['critical']));
    expect(under({ utilization: 0.71 }, 40).at(-1)).toBe('elevated');
    const flickering = Array.from(
      { length: 40 },
      (_, i) => under({ utilization: i % 2 === 0 ? 0.72 : 0.66 })[0],
    );
    expect(new Set(flickering)).toEqual(new Set(['elevated']));
  });

  test('measures at most twice a second', () => {
    const { meter, measure, clock } = setUp();
    for (let i = 0; i < 100; i++) meter();
    expect(measure).toHaveBeenCalledTimes(1);
    clock.advance(499);
    meter();
    expect(measure).toHaveBeenCalledTimes(1);
    clock.advance(1);
    meter();
    expect(measure).toHaveBeenCalledTimes(2);
  });

  test('old samples do not count', () => {
    const { under, clock } = setUp();
    expect(under({ utilization: 1 }, 3).at(-1)).toBe('critical');
    clock.advance('1h');
    expect(under({ utilization: 0.1 })).toEqual(['normal']);
  });

  test('works after the clock has gone back', () => {
    let nowMs = 10_000_000;
    let utilization = 0;
    const meter = loadMeter({
      clock: { now: () => nowMs, every: () => () => undefined },
      measure: () => ({ utilization, delayMs: 0 }),
    });
    meter();
    nowMs = 0;
    utilization = 1;
    for (let i = 0; i < 20; i++) {
      nowMs += 500;
      meter();
    }
    expect(meter()).toBe('critical');
  });

  test.each<LoadThresholds>([
    { elevated: { utilization: 0.95 } },
    { critical: { delayMs: 50 } },
    { elevated: { utilization: 0 } },
    { elevated: { delayMs: -1 } },
    { elevated: { utilization: Number.NaN } },
  ])('thresholds out of order are an error: %j', (thresholds) => {
    expect(() => loadMeter({ thresholds })).toThrow('[bad-rate]');
  });

  test('the real event loop: normal at first, critical while it is busy, and no handle is left', async () => {
    const before = process.getActiveResourcesInfo();
    const clock = new TestClock();
    // Each goes by one measure alone, since the other one never reaches so much.
    const meterWithout = (measure: keyof LoadSample) => {
      const never = { [measure]: 1_000_000 };
      return loadMeter({ clock, thresholds: { elevated: never, critical: never } });
    };
    const [byUtilization, byDelay] = [meterWithout('delayMs'), meterWithout('utilization')];
    /** The level since the last look, with nothing of what was before. */
    const levelOf = (meter: () => LoadLevel) => {
      clock.advance('1h');
      return meter();
    };
    expect([levelOf(byUtilization), levelOf(byDelay)]).toEqual(['normal', 'normal']);
    expect(process.getActiveResourcesInfo()).toEqual(before);

    // A delay counts from a turn of the event loop that was measured, and utilization from the last look.
    await sleep(50);
    levelOf(byUtilization);
    const endMs = performance.now() + 300;
    while (performance.now() < endMs);
    await turn();
    await turn();
    expect([levelOf(byUtilization), levelOf(byDelay)]).toEqual(['critical', 'critical']);
    // Others may keep the machine busy, but not in each of hundreds of looks.
    await until('normal in quiet', async () => {
      await sleep(100);
      return levelOf(byUtilization) === 'normal' && levelOf(byDelay) === 'normal';
    });
  });
});
