import type { Charge } from 'nestjs-ratelimit';
import { DenialCache } from '../../../../lib/store/redis/denial-cache.js';
import { chargeOf } from '../../../support/charges.js';
import { decidedOn } from '../../../support/outcomes.js';

const chargesOf = (identity: string): readonly Charge[] => [
  chargeOf({ identity, limit: 1, windowMs: 60_000 }),
];

/** What a server answers: a denial of so many milliseconds, or an admission. */
const answer = (charges: readonly Charge[], waitMs: number, steadyMs = Math.min(waitMs, 1_000)) => ({
  decisions: charges.map((charge) => decidedOn(charge, { waitMs, resetMs: 60_000 })),
  steadyMs,
});

const setUp = () => {
  let nowMs = 0;
  let asked = 0;
  const denials = new DenialCache(() => nowMs);
  return {
    denials,
    asked: () => asked,
    advance: (ms: number) => {
      nowMs += ms;
    },
    decide: (identity: string, retryAfterMs: number) => {
      const charges = chargesOf(identity);
      return denials.getOrFetch(charges, async () => {
        asked++;
        return answer(charges, retryAfterMs);
      });
    },
  };
};

describe('known denials', () => {
  test('a denial is cached until its wait is over, and has the remaining wait', async () => {
    const { decide, advance, asked } = setUp();
    await decide('user:1', 400);
    advance(150);
    expect((await decide('user:1', 0)).decisions[0]).toMatchObject({
      allowed: false,
      retryAfterMs: 250,
      resetAfterMs: 59_850,
      atMs: 150,
    });
    expect(asked()).toBe(1);
    advance(250);
    expect((await decide('user:1', 0)).decisions[0]?.allowed).toBe(true);
    expect(asked()).toBe(2);
  });

  test('a denial is cached for at most one second', async () => {
    const { decide, advance, asked } = setUp();
    await decide('user:1', 60_000);
    advance(999);
    await decide('user:1', 0);
    expect(asked()).toBe(1);
    advance(1);
    await decide('user:1', 60_000);
    expect(asked()).toBe(2);
  });

  test('one request revalidates an expired denial, and the others wait for it', async () => {
    const { decide, advance, asked } = setUp();
    await decide('user:1', 60_000);
    advance(1_000);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => decide('user:1', 60_000)));
    expect(asked()).toBe(2);
    expect(outcomes.every(({ decisions }) => decisions[0]?.allowed === false)).toBe(true);
  });

  test('a denial that is invalidated during its request is not cached', async () => {
    const { decide, denials, asked } = setUp();
    const before = decide('user:1', 60_000);
    denials.invalidate('user:1');
    await before;
    await decide('user:1', 60_000);
    expect(asked()).toBe(2);
    await decide('user:1', 0);
    expect(asked()).toBe(2);
  });

  test('also if more identities are invalidated meanwhile than are remembered', async () => {
    const { decide, denials, asked } = setUp();
    const before = decide('user:1', 60_000);
    denials.invalidate('user:1');
    for (let i = 0; i < 10_000; i++) denials.invalidate(`other:${i}`);
    await before;
    await decide('user:1', 60_000);
    expect(asked()).toBe(2);
  });

  test('other identities are still cached if more are invalidated than are remembered', async () => {
    const { decide, denials, asked } = setUp();
    denials.onSend();
    denials.invalidate('user:1');
    const after = decide('user:2', 60_000);
    for (let i = 0; i < 10_000; i++) denials.invalidate(`other:${i}`);
    await after;
    await decide('user:2', 60_000);
    expect(asked()).toBe(1);
  });

  test('holds 10,000 denials, and removes the oldest', async () => {
    const { decide, denials } = setUp();
    for (let i = 0; i <= 10_000; i++) await decide(`user:${i}`, 60_000);
    expect(denials.mayContain(chargesOf('user:0'))).toBe(false);
    expect(denials.mayContain(chargesOf('user:1'))).toBe(true);
  });

  test('the wait of a denial starts when the request was sent', async () => {
    const { denials, decide, advance, asked } = setUp();
    const charges = chargesOf('user:1');
    await denials.getOrFetch(charges, async () => {
      advance(300);
      return answer(charges, 400);
    });
    advance(99);
    await decide('user:1', 0);
    expect(asked()).toBe(0);
    advance(1);
    expect((await decide('user:1', 0)).decisions[0]?.allowed).toBe(true);
    expect(asked()).toBe(1);
  });

  test('a denial whose revalidation fails is removed', async () => {
    const { denials, decide, advance, asked } = setUp();
    await decide('user:1', 60_000);
    advance(1_000);
    const down = () => Promise.reject(new Error('down'));
    await expect(denials.getOrFetch(chargesOf('user:1'), down)).rejects.toThrow('down');
    expect((await decide('user:1', 0)).decisions[0]?.allowed).toBe(true);
    expect(asked()).toBe(2);
  });

  test('a denial is not used after the clock has gone back', async () => {
    const { decide, advance, asked } = setUp();
    await decide('user:1', 60_000);
    advance(-500);
    expect((await decide('user:1', 0)).decisions[0]?.allowed).toBe(true);
    expect(asked()).toBe(2);
  });

  test('a denial is cached only as long as nothing of it changes', async () => {
    const { denials, decide, advance, asked } = setUp();
    const charges = chargesOf('user:1');
    await denials.getOrFetch(charges, async () => answer(charges, 60_000, 200));
    advance(199);
    await decide('user:1', 0);
    expect(asked()).toBe(0);
    advance(1);
    await decide('user:1', 0);
    expect(asked()).toBe(1);
  });

  test('a charge or a block of a bucket drops the denials on it, of whatever cost, and no others', async () => {
    const { denials } = setUp();
    const token = denials.onSend();
    const [small] = chargesOf('user:1') as [Charge];
    const other = chargeOf({ identity: 'user:1', limit: 1, windowMs: 1_000 });
    const large = [{ ...small, cost: 5 }];
    denials.onReply(large, answer(large, 60_000), token);
    denials.onReply([other], answer([other], 60_000), token);
    const isCached = async (charges: readonly Charge[]) => {
      let asked = 0;
      await denials.getOrFetch(charges, async () => {
        asked++;
        return answer(charges, 60_000, 0);
      });
      return asked === 0;
    };
    expect([await isCached(large), await isCached([other])]).toEqual([true, true]);
    const admitted = { decisions: [decidedOn(small, { receipt: 1 })], steadyMs: 0 };
    denials.onReply([small], admitted, token);
    expect([await isCached(large), await isCached([other])]).toEqual([false, true]);
    const blocking = { ...decidedOn(other, { waitMs: 900_000 }), startsBlock: true };
    denials.onReply([{ ...other, cost: 2 }], { decisions: [blocking], steadyMs: 1_000 }, token);
    expect([await isCached([other]), await isCached([{ ...other, cost: 2 }])]).toEqual([false, true]);
  });

  test('an expired denial is dropped if its new reply cannot be cached', async () => {
    const { denials, decide, advance, asked } = setUp();
    await decide('user:1', 60_000);
    advance(1_000);
    const charges = chargesOf('user:1');
    await denials.getOrFetch(charges, async () => answer(charges, 60_000, 0));
    expect((await decide('user:1', 0)).decisions[0]?.allowed).toBe(true);
    expect(asked()).toBe(2);
  });

  test('denials by shadow limits are not cached', async () => {
    const { denials } = setUp();
    const charges = chargesOf('user:1').map((charge) => ({ ...charge, shadow: true }));
    let asked = 0;
    for (let i = 0; i < 3; i++) {
      await denials.getOrFetch(charges, async () => {
        asked++;
        return answer(charges, 60_000);
      });
    }
    expect(asked).toBe(3);
  });
});
