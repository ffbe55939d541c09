import { byLoad, type LoadLevel, RateLimit } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { configErrorOf, starter, statuses, times } from '../support/app.js';

const rates = { normal: '5/hour', elevated: '3/hour', critical: '1/hour' } as const;

describe('rates by load', () => {
  const start = starter('express');

  test('the limit that a client sees changes with the load, and its charges still count', async () => {
    const clock = new TestClock();
    let utilization = 0.1;
    const measure = () => ({ utilization, delayMs: 0 });

    const app = await start({
      routes: { '/': RateLimit({ name: 'busy', rate: byLoad(rates, { measure, clock }) }) },
    });
    const seen = async () => {
      const { status, headers } = await app.get('/');
      return [status, headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')];
    };
    expect(await seen()).toEqual([200, '5', '4']);
    utilization = 0.8;
    clock.advance('1min');
    expect(await seen()).toEqual([200, '3', '1']);
    utilization = 1;
    clock.advance('1min');
    expect(await seen()).toEqual([429, '1', '0']);
    utilization = 0;
    clock.advance('1min');
    expect(await seen()).toEqual([200, '5', '2']);
  });

  test('a function can return the level; if it fails, the load counts as normal, and this is logged', async () => {
    let level: () => LoadLevel = () => 'critical';

    const app = await start({ routes: { '/': RateLimit({ rate: byLoad(rates, () => level()) }) } });
    const limit = async () => (await app.get('/')).headers.get('x-ratelimit-limit');
    expect(await limit()).toBe('1');
    level = () => 'elevated';
    expect(await limit()).toBe('3');
    expect(app.logged).toEqual([]);
    level = () => 'high' as LoadLevel;
    expect(await limit()).toBe('5');
    level = () => {
      throw new Error('no metrics');
    };
    expect(await limit()).toBe('5');
    expect(app.logged).toEqual([
      expect.stringMatching(/Shop\.get: There is no rate for this load, .*high/),
      expect.stringMatching(/Shop\.get: The load cannot be measured.*no metrics/),
    ]);
  });

  test('null means no limit while the load is normal', async () => {
    let level: LoadLevel = 'normal';

    const app = await start({
      routes: {
        '/': RateLimit({ rate: byLoad({ normal: null, elevated: '1/min', critical: '0/min' }, () => level) }),
      },
    });
    expect(await statuses(app, 10, '/')).toEqual(times(10, 200));
    level = 'elevated';
    expect(await statuses(app, 2, '/')).toEqual([200, 429]);
    app.clock.advance('1min');
    level = 'critical';
    expect(await statuses(app, 1, '/')).toEqual([429]);
  });

  test.each<[string, object]>([
    ['a missing rate', { normal: '5/hour', elevated: '3/hour' }],
    ['an invalid rate', { ...rates, critical: 'few' }],
    ['a level without a rate', { ...rates, elevated: undefined }],
  ])('%s is an error at start-up', async (_what, given) => {
    const error = await configErrorOf(
      start({ routes: { '/': RateLimit({ rate: byLoad(given as typeof rates) }) } }),
    );
    expect(error.problems).toMatchObject([{ code: 'bad-rate', source: 'Shop.get' }]);
  });
});
