import { ALGORITHM_NAMES } from '../../../lib/core/algorithms/index.js';
import { type Asked, Guarded, MINUTE } from '../../support/guarded.js';

describe.each(ALGORITHM_NAMES)('A37 after an outage with %s', (algorithm) => {
  test('nobody who keeps within the limit is denied, however long after', async () => {
    const guarded = new Guarded();
    const asked: Asked = { algorithm, limit: 100, windowMs: 100_000 };
    const denied: number[] = [];
    for (let turn = 0; turn < 400; turn++) {
      // Three of four that the limit has room for.
      await guarded.pass(1_334);
      const ask = () => guarded.decide(asked);
      const { allowed } = turn === 100 ? await guarded.during('rejects', ask) : await ask();
      if (!allowed) denied.push(turn);
    }
    expect(denied).toEqual([]);
  });

  test('a store that comes back empty again and again gives no new allowance each time', async () => {
    const guarded = new Guarded({ threshold: 1 });
    const asked: Asked = { algorithm, windowMs: 60 * MINUTE };
    let admitted = 0;
    for (let crash = 0; crash < 5; crash++) {
      admitted += await guarded.admitted(6, asked);
      await guarded.pass(1_000);
      admitted += await guarded.during('rejects', () => guarded.admitted(6, asked));
      await guarded.pass(1_000);
      guarded.held.inner.clear();
    }
    expect(admitted).toBeLessThanOrEqual(2 * 5);
  });

  test('a look starts no block where what the process admitted leaves no room', async () => {
    const guarded = new Guarded();
    const asked: Asked = { algorithm, blockDurationsMs: [15 * MINUTE] };
    await guarded.during('rejects', () => guarded.admitted(5, asked));
    expect(await guarded.look(asked)).toMatchObject({ allowed: false, blockedForMs: 0 });
    expect(await guarded.decide(asked)).toMatchObject({ allowed: false, startsBlock: true });
    expect(await guarded.look(asked)).toMatchObject({ allowed: false, blockedForMs: 15 * MINUTE });
  });

  test('clients hear of the later of both ends: of what the process has charged, and of what the store has', async () => {
    const guarded = new Guarded();
    const asked: Asked = { algorithm, limit: 3, windowMs: 30_000 };
    await guarded.decide(asked);
    await guarded.pass(20_000);
    const own = await guarded.during('rejects', () => guarded.decide(asked));
    await guarded.pass(1_000);
    const { resetAfterMs } = await guarded.look(asked);
    expect(resetAfterMs).toBe(own.resetAfterMs - 1_000);
    expect(guarded.inStore(asked).resetAfterMs).toBeLessThanOrEqual(resetAfterMs);
  });

  test('a reset by another process holds, though a request was slow before it', async () => {
    const guarded = new Guarded();
    const asked: Asked = { algorithm };
    expect(await guarded.admitted(6, asked)).toBe(5);
    await guarded.pass(1_000);
    await guarded.during('rejects', () => guarded.decide({ ...asked, identity: 'user:2' }));
    guarded.held.inner.reset({ identity: 'user:1' });
    await guarded.pass(1_000);
    expect(await guarded.admitted(6, asked)).toBe(5);
  });
});

test('A37 a token bucket gains nothing by an outage, also of a caller who goes on asking for all it can get', async () => {
  const guarded = new Guarded();
  const bucket: Asked = { algorithm: 'token-bucket', limit: 10, burst: 50 };
  let admitted = await guarded.during('rejects', () => guarded.admitted(60, bucket));
  for (let second = 0; second < 7 * 60; second++) {
    await guarded.pass(1_000);
    admitted += await guarded.admitted(3, bucket);
  }
  expect(admitted).toBeLessThanOrEqual(50 + 7 * 10);
  expect(admitted).toBeGreaterThanOrEqual(50 + 7 * 10 - 1);
});

describe('a denial of the process tells the first moment at which there is room', () => {
  const admitted = (guarded: Guarded, count: number) =>
    guarded.during('rejects', () => guarded.admitted(count));

  test.each<[string, number, (guarded: Guarded) => Promise<unknown>]>([
    [
      'when what the store has counted ends',
      50_000,
      async (guarded) => {
        await guarded.admitted(2);
        await guarded.pass(10_000);
        await admitted(guarded, 3);
      },
    ],
    [
      'when what the process has charged ends',
      30_000,
      async (guarded) => {
        await admitted(guarded, 3);
        await guarded.pass(30_000);
        await guarded.admitted(2);
      },
    ],
  ])('%s', async (_when, waitMs, before) => {
    const guarded = new Guarded();
    await before(guarded);
    guarded.held.manner = 'rejects';
    expect((await guarded.decide()).retryAfterMs).toBe(waitMs);
    await guarded.pass(waitMs - 1);
    expect((await guarded.decide()).allowed).toBe(false);
    await guarded.pass(1);
    expect((await guarded.decide()).allowed).toBe(true);
  });
});
