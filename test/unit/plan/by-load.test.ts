import { type LoadLevel } from 'nestjs-ratelimit';
import { RateLimitConfigError } from '../../../lib/core/errors.js';
import { RateLimiter } from '../../../lib/limiter/rate-limiter.js';
import { byLoad } from '../../../lib/plan/load.js';

const rates = { normal: '5/hour', elevated: '3/hour', critical: '1/hour' } as const;

describe('byLoad', () => {
  test('a limiter without Nest uses the current level', async () => {
    let level: LoadLevel = 'normal';
    const limiter = new RateLimiter({ scopes: { work: byLoad(rates, () => level) } });
    const limit = async () => (await limiter.consume({ scope: 'work', identity: 'a' })).decidedBy?.limit;
    expect(await limit()).toBe(5);
    level = 'elevated';
    expect(await limit()).toBe(3);
    level = 'critical';
    expect((await limiter.consume({ scope: 'work', identity: 'a' })).allowed).toBe(false);
  });

  test('without options the level is normal at first', () => {
    expect(byLoad(rates).level()).toBe('normal');
  });

  test.each([
    [undefined, 'undefined'],
    [null, 'null'],
    ['5/hour', '"5/hour"'],
    [['5/hour'], 'a list'],
  ])('%j is not a set of rates', (given, shown) => {
    const call = () => byLoad(given as never);
    expect(call).toThrow(RateLimitConfigError);
    expect(call).toThrow(
      `[bad-rate] ${shown} is not a set of rates by load. Give a rate for each load: byLoad({ normal:`,
    );
  });

  test('thresholds out of order and a missing rate are errors', () => {
    expect(() => byLoad(rates, { thresholds: { elevated: { utilization: 1.5 } } })).toThrow('[bad-rate]');
    const missing = byLoad({ normal: '5/hour', critical: '1/hour' } as unknown as typeof rates);
    expect(() => new RateLimiter({ scopes: { work: missing } })).toThrow(
      '[bad-rate] scopes.work: There is no rate for the load elevated.',
    );
  });
});
