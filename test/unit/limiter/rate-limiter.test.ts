import { jest } from '@jest/globals';
import { TestClock } from 'nestjs-ratelimit/testing';
import { RateLimitConfigError } from '../../../lib/core/errors.js';
import { RateLimiter } from '../../../lib/limiter/rate-limiter.js';
import { MemoryStore } from '../../../lib/store/memory/memory-store.js';

const setUp = () => {
  const clock = new TestClock();
  const store = new MemoryStore({ clock });
  const limiter = new RateLimiter({
    store,
    scopes: {
      mail: '100/hour',
      bucket: { rate: '60/min', algorithm: 'token-bucket', burst: 10 },
      plan: { free: '2/min', pro: '5/min', default: '1/min' },
      dynamic: () => '3/min' as const,
      blocking: { rate: '1/min', block: '15min' },
      free: null,
      none: '0/min',
    },
  });
  return { clock, store, limiter };
};

describe('RateLimiter without Nest', () => {
  test('consume charges a cost and returns what is left', async () => {
    const { limiter } = setUp();
    const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 3 });
    expect(outcome).toMatchObject({
      allowed: true,
      skipped: false,
      degraded: false,
      retryAfterMs: 0,
      decisions: [
        { name: 'mail', allowed: true, limit: 100, remaining: 97, resetAfterMs: 3_600_000, retryAfterMs: 0 },
      ],
    });
    expect(outcome.decidedBy).toBe(outcome.decisions[0]);
  });

  test('a denial is an outcome, not an error, with the wait, or null if waiting never helps', async () => {
    const { limiter } = setUp();
    await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 100 });
    const denied = await limiter.consume({ scope: 'mail', identity: 'customer:42' });
    expect([denied.allowed, denied.retryAfterMs]).toEqual([false, 3_600_000]);
    const never = await limiter.consume({ scope: 'mail', identity: 'customer:43', cost: 101 });
    expect([never.allowed, never.retryAfterMs]).toEqual([false, null]);
    expect((await limiter.consume({ scope: 'none', identity: 'customer:42' })).retryAfterMs).toBeNull();
  });

  test('scopes whose names and limits concatenate to the same text have separate buckets', async () => {
    const limiter = new RateLimiter({
      store: new MemoryStore({ clock: new TestClock() }),
      scopes: {
        'shop:login': [{ rate: '1/min', name: 'web' }],
        shop: [{ rate: '1/min', name: 'login:web' }],
      },
    });
    for (const scope of ['shop:login', 'shop'] as const)
      expect((await limiter.consume({ scope, identity: 'user:42' })).allowed).toBe(true);
  });

  test('a text that only looks like a canonical identity is taken literally', async () => {
    const { limiter } = setUp();
    // A key would have written the second percent sign as %25.
    const target = { scope: 'mail', identity: 'user:50%2B50%' } as const;
    await limiter.consume({ ...target, cost: 100 });
    await limiter.reset(target);
    expect((await limiter.consume({ ...target, cost: 100 })).allowed).toBe(true);
  });

  test('unlimited is skipped and stores nothing', async () => {
    const { limiter, store } = setUp();
    const outcome = await limiter.consume({ scope: 'free', identity: 'customer:42' });
    expect(outcome).toMatchObject({ allowed: true, skipped: true, decidedBy: null, decisions: [] });
    expect(store.size).toBe(0);
  });

  test('an outcome is refunded once', async () => {
    const { limiter } = setUp();
    const target = { scope: 'mail', identity: 'customer:42' } as const;
    await limiter.consume({ ...target, cost: 10 });
    const outcome = await limiter.consume({ ...target, cost: 5 });
    await limiter.refund(outcome);
    await limiter.refund(outcome);
    expect((await limiter.peek(target)).decidedBy?.remaining).toBe(90);
  });

  test('refunds of a denial, a peek and a skipped request have no effect', async () => {
    const { limiter } = setUp();
    const target = { scope: 'mail', identity: 'customer:42' } as const;
    await limiter.consume({ ...target, cost: 100 });
    await limiter.refund(await limiter.consume(target));
    await limiter.refund(await limiter.peek(target));
    await limiter.refund(await limiter.consume({ scope: 'free', identity: 'customer:42' }));
    expect((await limiter.peek(target)).allowed).toBe(false);
  });

  test('consume takes a tier and a rate', async () => {
    const { limiter } = setUp();
    const limitOf = async (more: object) =>
      (await limiter.peek({ scope: 'plan', identity: 'customer:42', ...more })).decidedBy?.limit;
    expect([await limitOf({ tier: 'pro' }), await limitOf({ tier: 'gold' }), await limitOf({})]).toEqual([
      5, 1, 1,
    ]);
    const dynamic = { scope: 'dynamic', identity: 'customer:42' } as const;
    expect((await limiter.consume({ ...dynamic, rate: '7/min' })).decidedBy?.limit).toBe(7);
    for (const limit of [8, 9]) {
      const outcome = await limiter.consume({ ...dynamic, rate: { limit, window: '1min' } });
      expect(outcome.decidedBy?.limit).toBe(limit);
    }
    expect((await limiter.consume({ ...dynamic, rate: null })).skipped).toBe(true);
    await expect(limiter.consume(dynamic)).rejects.toThrow('Pass the rate: ');
  });

  test('a scope blocks after a denial; block and unblock apply to every scope', async () => {
    const { limiter } = setUp();
    const blocking = { scope: 'blocking', identity: 'customer:42' } as const;
    await limiter.consume(blocking);
    expect((await limiter.consume(blocking)).retryAfterMs).toBe(900_000);
    await limiter.unblock({ identity: 'customer:42' });
    expect((await limiter.consume(blocking)).retryAfterMs).toBe(900_000);
    await limiter.reset({ identity: 'customer:42' });
    expect((await limiter.consume(blocking)).allowed).toBe(true);
    await limiter.block({ identity: 'customer:42', for: '1h' });
    expect((await limiter.consume({ scope: 'mail', identity: 'customer:42' })).retryAfterMs).toBe(3_600_000);
    expect((await limiter.peek({ scope: 'mail', identity: 'customer:42' })).allowed).toBe(false);
  });

  test('one error lists all errors in the scopes', () => {
    const scopes = { ok: '1/s', 'not ok': '1/s', wrong: '1/month' } as unknown as Record<string, '1/s'>;
    expect(() => new RateLimiter({ scopes })).toThrow(RateLimitConfigError);
    expect(() => new RateLimiter({ scopes })).toThrow('2 errors in the rate limit configuration');
  });

  test.each([
    [
      { scopes: {}, stor: new MemoryStore() },
      'Unknown option "stor". The options are store, scopes, algorithm,',
    ],
    [{ scopes: {}, store: {} }, 'store cannot be {  }. Give a Store'],
    [
      {},
      `The option "scopes" is missing, so there are no limits. Give rates by name, such as { login: '5/15min' }.`,
    ],
    [{ scopes: [] }, 'scopes cannot be a list. Give rates by name'],
    [{ scopes: {}, algorithm: 'leaky' }, 'algorithm cannot be "leaky". Choose one of sliding-window,'],
    [undefined, 'Expected an object of options, but got undefined. Give an object.'],
  ])('%j is an error', (options, message) => {
    expect(() => new RateLimiter(options as never)).toThrow(`[bad-option] RateLimiter: ${message}`);
  });

  test('an unknown scope and an invalid identity are errors', async () => {
    const { limiter } = setUp();
    await expect(limiter.consume({ scope: 'post' as 'mail', identity: 'customer:42' })).rejects.toThrow(
      '[unknown-scope]',
    );
    await expect(limiter.reset({ scope: 'post' as 'mail', identity: 'customer:42' })).rejects.toThrow(
      '[unknown-scope]',
    );
    for (const identity of ['', undefined, 42, [], [''], ['user:42', ''], [42]] as string[]) {
      const target = { scope: 'mail', identity } as const;
      await expect(limiter.consume(target)).rejects.toThrow('[bad-key]');
      await expect(limiter.peek(target)).rejects.toThrow('[bad-key]');
      await expect(limiter.reset({ identity })).rejects.toThrow('[bad-key]');
      await expect(limiter.block({ identity, for: '1min' })).rejects.toThrow('[bad-key]');
      await expect(limiter.unblock({ identity })).rejects.toThrow('[bad-key]');
    }
    await expect(limiter.block({ identity: 'customer:42', for: 'long' as '1s' })).rejects.toThrow(
      '[bad-duration]',
    );
  });

  test.each<[string | readonly string[], string | readonly string[]]>([
    ['customer:a+b', 'customer:a%2Bb'],
    ['customer:100%', 'customer:100%25'],
    ['customer:a%2Bb', 'customer:a%252Bb'],
    ['customer:{a}', 'customer:%7Ba%7D'],
    ['user:a+b:c', ['user:a', 'b:c']],
    ['user:a', ['user:a', 'user:a']],
    ['a+b', ['a', 'b']],
    [
      ['a+b', 'c'],
      ['a', 'b+c'],
    ],
    ['customer:a', 'customer:A'],
  ])('%s and %s are different identities', async (one, other) => {
    const { limiter } = setUp();
    const left = async (identity: string | readonly string[]) =>
      (await limiter.peek({ scope: 'mail', identity })).decidedBy?.remaining;
    await limiter.consume({ scope: 'mail', identity: one, cost: 30 });
    expect([await left(one), await left(other)]).toEqual([70, 100]);
    await limiter.consume({ scope: 'mail', identity: other, cost: 50 });
    expect([await left(one), await left(other)]).toEqual([70, 50]);
  });

  test('an invalid cost counts as 1 and is reported', async () => {
    const { limiter } = setUp();
    const said = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: Number.NaN });
    expect(outcome.decidedBy?.remaining).toBe(99);
    expect(said).toHaveBeenCalledWith(
      expect.stringContaining('The cost is not a whole number of 0 or more, so it counts as 1. It was NaN.'),
      expect.anything(),
    );
    said.mockRestore();
  });

  test('without a store, it uses its own memory store', async () => {
    const limiter = new RateLimiter({ scopes: { mail: '1/min' } });
    expect((await limiter.consume({ scope: 'mail', identity: 'a' })).allowed).toBe(true);
    expect((await limiter.consume({ scope: 'mail', identity: 'a' })).allowed).toBe(false);
  });
});
