import { type LoadLevel } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { RateLimitConfigError } from '../../../lib/core/errors.js';
import { RateLimiter } from '../../../lib/limiter/rate-limiter.js';
import { byLoad } from '../../../lib/plan/load.js';
import { MemoryStore } from '../../../lib/store/memory/memory-store.js';

const rates = { normal: '5/hour', elevated: '3/hour', critical: '1/hour' } as const;

describe('byLoad', () => {
  test('a limiter without Nest decides by the level of now', async () => {
    let level: LoadLevel = 'normal';
    const limiter = new RateLimiter({ scopes: { work: byLoad(rates, () => level) } });
    const limit = async () => (await limiter.consume({ scope: 'work', identity: 'a' })).decidedBy?.limit;
    expect(await limit()).toBe(5);
    level = 'elevated';
    expect(await limit()).toBe(3);
    level = 'critical';
    expect((await limiter.consume({ scope: 'work', identity: 'a' })).allowed).toBe(false);
  });

  test('a measure and a clock of its own tell it', async () => {
    const clock = new TestClock();
    let delayMs = 0;
    const rule = byLoad(rates, { clock, measure: () => ({ utilization: 0, delayMs }) });
    const limiter = new RateLimiter({ scopes: { work: rule }, store: new MemoryStore({ clock }) });
    const limit = async () => (await limiter.peek({ scope: 'work', identity: 'a' })).decidedBy?.limit;
    expect(await limit()).toBe(5);
    delayMs = 1_000;
    clock.advance('1s');
    expect(await limit()).toBe(1);
  });

  test('without options it starts quiet', () => {
    expect(byLoad(rates).level()).toBe('normal');
  });

  test.each([
    [undefined, 'undefined'],
    [null, 'null'],
    ['5/hour', '"5/hour"'],
    [['5/hour'], 'a list'],
  ])('%j stands for no rates', (given, shown) => {
    const call = () => byLoad(given as never);
    expect(call).toThrow(RateLimitConfigError);
    expect(call).toThrow(
      `[bad-rate] ${shown} is not a set of rates by load. Give a rate for each load: byLoad({ normal:`,
    );
  });

  test('thresholds out of order, and a rate that is missing, are mistakes', () => {
    expect(() => byLoad(rates, { thresholds: { elevated: { utilization: 1.5 } } })).toThrow('[bad-rate]');
    const missing = byLoad({ normal: '5/hour', critical: '1/hour' } as unknown as typeof rates);
    expect(() => new RateLimiter({ scopes: { work: missing } })).toThrow(
      '[bad-rate] scopes.work: There is no rate for the load elevated.',
    );
  });
});
