import type { Decision, StoreReply } from 'nestjs-ratelimit';
import { StoreUnavailableError } from '../../../lib/store/store.js';
import { type Asked, Guarded, MINUTE } from '../../support/guarded.js';
import { type Manner, turn } from '../../support/held-store.js';

const CLOSED: Asked = { name: 'closed', failMode: 'closed' };
const OPEN: Asked = { name: 'open', failMode: 'open' };

const chargedIn = ({ decisions }: StoreReply): readonly Decision[] =>
  decisions.filter(({ receipt }) => receipt !== null);

describe('a charge', () => {
  test('is sent once, also beside what this process has admitted by itself', async () => {
    const guarded = new Guarded();
    await guarded.during('rejects', () => guarded.consume());
    guarded.held.asked.length = 0;
    await guarded.consume();
    await guarded.during('hangs', () => guarded.consume());
    await guarded.during('throws', () => guarded.consume());
    expect(guarded.held.asked).toHaveLength(3);
    expect((await guarded.during('rejects', () => guarded.look())).remaining).toBe(1);
    // By then all of it has expired.
    await guarded.pass(MINUTE);
    expect(await guarded.during('rejects', () => guarded.admitted(6))).toBe(5);
  });
});

describe('an answer that comes too late', () => {
  test.each<[string, Manner, number]>([
    ['had charged', 'slow', 4],
    ['had not decided', 'hangs', 5],
  ])(
    'gives back what the store %s when a closed limit rejected the request',
    async (_what, manner, before) => {
      const guarded = new Guarded();
      const rejected = guarded.during(manner, () => guarded.consume(CLOSED, {}));
      await expect(rejected).rejects.toThrow(StoreUnavailableError);
      const remaining = () => [guarded.inStore(CLOSED).remaining, guarded.inStore().remaining];
      expect(remaining()).toEqual([before, before]);
      guarded.held.answer();
      await turn();
      expect([...remaining(), guarded.held.told]).toEqual([5, 5, ['refund 2']]);
    },
  );

  test('gives back what it charged when this process has denied the request', async () => {
    const guarded = new Guarded({ instances: 4 });
    const limit: Asked = { limit: 8 };
    expect(await guarded.during('rejects', () => guarded.admitted(3, limit))).toBe(2);
    // There is room under the whole limit, and so the store is asked; but none in the part of this process.
    const denied = await guarded.during('slow', () => guarded.consume(limit, { name: 'other' }));
    expect([denied.degraded, ...denied.decisions.map(({ allowed }) => allowed)]).toEqual([true, false, true]);
    expect([guarded.inStore(limit).remaining, guarded.inStore({ name: 'other' }).remaining]).toEqual([7, 4]);
    guarded.held.answer();
    await turn();
    expect([guarded.inStore(limit).remaining, guarded.inStore({ name: 'other' }).remaining]).toEqual([8, 5]);
    expect(guarded.held.told).toEqual(['refund 2']);
  });

  test.each<[string, Asked, readonly object[]]>([
    ['this process', {}, [{ allowed: true, remaining: 4 }]],
    ['an open limit', OPEN, []],
  ])('gives nothing back when %s has admitted the request', async (_who, limit, decisions) => {
    const guarded = new Guarded();
    const reply = await guarded.during('slow', () => guarded.consume(limit));
    expect(reply).toMatchObject({ degraded: true, decisions });
    guarded.held.answer();
    await turn();
    expect([guarded.inStore(limit).remaining, guarded.held.told]).toEqual([4, []]);
  });

  test.each([
    ['before it', ['hangs', 'slow']],
    ['after it', ['slow', 'hangs']],
  ] as const)(
    'is not forgotten for one that the store had decided %s, and that comes with it',
    async (_when, [first, then]) => {
      const guarded = new Guarded();
      await guarded.during(first, () => guarded.consume());
      guarded.held.manner = then;
      const second = guarded.consume();
      await turn();
      // One is decided only now; both are answered in the same millisecond.
      guarded.held.answer();
      expect(await second).toMatchObject({ degraded: false });
      expect(guarded.inStore().remaining).toBe(3);
      expect(await guarded.during('rejects', () => guarded.admitted(5))).toBe(3);
    },
  );

  test('gives nothing back where nothing was charged: a denial, or a look', async () => {
    const guarded = new Guarded();
    guarded.elsewhere({ ...CLOSED, cost: 5 });
    await guarded.during('slow', () => guarded.consume(CLOSED)).catch(() => undefined);
    await guarded.during('slow', () => guarded.peek(CLOSED)).catch(() => undefined);
    guarded.held.answer();
    await turn();
    expect([guarded.inStore(CLOSED).remaining, guarded.held.told]).toEqual([0, ['peek']]);
  });

  test.each<Manner>(['throws', 'rejects', 'hangs'])('does no harm when giving back %s', async (manner) => {
    const guarded = new Guarded();
    await guarded.during('slow', () => guarded.consume(CLOSED)).catch(() => undefined);
    guarded.held.manner = manner;
    guarded.held.answer();
    await turn();
    expect([guarded.inStore(CLOSED).remaining, guarded.held.told]).toEqual([4, ['refund 1']]);
  });

  test('does no harm when there is nothing in it, or when it is a failure', async () => {
    const guarded = new Guarded();
    guarded.held.consume = () => new Promise((_, reject) => setImmediate(() => setImmediate(reject)));
    const failed = guarded.consume();
    await guarded.expire();
    expect(await failed).toMatchObject({ degraded: true });
    guarded.held.consume = () =>
      new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(undefined as never))));
    const empty = guarded.consume();
    await guarded.expire();
    expect(await empty).toMatchObject({ degraded: true });
    await turn();
    await turn();
    expect(await guarded.during('rejects', () => guarded.look())).toMatchObject({ remaining: 3 });
  });

  test('does not take the place of what the store has said since', async () => {
    const guarded = new Guarded();
    await guarded.during('slow', () => guarded.consume(OPEN));
    expect(await guarded.during('answers', () => guarded.admitted(4, { ...OPEN, failMode: 'local' }))).toBe(
      4,
    );
    guarded.held.answer();
    await turn();
    const look = await guarded.during('rejects', () => guarded.look({ ...OPEN, failMode: 'local' }));
    expect(look.remaining).toBe(0);
  });

  test.each([
    ['of its own time', 0],
    ['that is an hour ahead', 60 * MINUTE],
    ['that is an hour behind', -60 * MINUTE],
  ])(
    'tells this process of what others have charged to a store %s, from the first on',
    async (_where, aheadMs) => {
      const guarded = new Guarded({ aheadMs });
      guarded.elsewhere({ cost: 3 });
      await guarded.during('slow', () => guarded.consume());
      guarded.held.answer();
      await turn();
      expect((await guarded.during('rejects', () => guarded.look())).remaining).toBe(1);
    },
  );
});

describe('giving back', () => {
  /** What remains: to the store, and to this process when its store fails. */
  const left = async (guarded: Guarded, asked: Asked = {}) => [
    guarded.inStore(asked).remaining,
    (await guarded.during('rejects', () => guarded.look(asked))).remaining,
  ];

  test('a charge to the store that was the last is not taken over by this process', async () => {
    const guarded = new Guarded();
    await guarded.consume();
    await guarded.store.refund(chargedIn(await guarded.consume({ cost: 3 })));
    expect(guarded.held.told).toEqual(['refund 1']);
    expect(await left(guarded)).toEqual([4, 4]);
    await guarded.store.refund(chargedIn(await guarded.consume({ name: 'other' })));
    expect(await left(guarded, { name: 'other' })).toEqual([5, 5]);
  });

  test('a charge that others followed leaves this process with no more than there is', async () => {
    const guarded = new Guarded();
    const first = await guarded.consume({ cost: 2 });
    await guarded.consume();
    await guarded.store.refund(chargedIn(first));
    const [inStore, here] = await left(guarded);
    expect(inStore).toBe(4);
    expect(here).toBeLessThanOrEqual(4);
  });

  test('a charge that this process has made goes to it alone, also while the store fails', async () => {
    const guarded = new Guarded({ manner: 'rejects', threshold: 1 });
    const reply = await guarded.consume({ cost: 3 });
    await guarded.consume();
    await guarded.store.refund(chargedIn(reply));
    expect(guarded.held.told).toEqual([]);
    expect((await guarded.look()).remaining).toBe(4);
  });

  test('a charge of this process is given back once, however often that is asked', async () => {
    const guarded = new Guarded({ manner: 'rejects' });
    const reply = await guarded.consume();
    // In the same millisecond, and so at the same place of the window.
    await guarded.consume();
    for (let i = 0; i < 2; i++) await guarded.store.refund(chargedIn(reply));
    expect((await guarded.look()).remaining).toBe(4);
  });

  test('a charge of this process that the store turns out to have made, too, is given back there as well', async () => {
    const guarded = new Guarded({ manner: 'slow' });
    const first = guarded.consume();
    await turn();
    await guarded.pass(guarded.timeoutMs);
    guarded.held.manner = 'rejects';
    await guarded.consume();
    await guarded.store.refund(chargedIn(await first));
    guarded.held.manner = 'answers';
    guarded.held.answer();
    await turn();
    // Once, also when that is asked again.
    await guarded.store.refund(chargedIn(await first));
    expect(guarded.held.told).toEqual(['refund 1']);
    expect(await left(guarded)).toEqual([5, 4]);
  });

  test('it goes to it alone, also when the store is back', async () => {
    const guarded = new Guarded();
    const reply = await guarded.during('rejects', () => guarded.consume({ cost: 5 }));
    expect(await guarded.admitted(1)).toBe(0);
    await guarded.store.refund(chargedIn(reply));
    expect(guarded.held.told).toEqual([]);
    expect(await guarded.admitted(6)).toBe(5);
  });

  test('a charge of the part that falls to this process gives back as much', async () => {
    const guarded = new Guarded({ instances: 4, manner: 'rejects' });
    const replies = [
      await guarded.consume({ limit: 20, cost: 2 }),
      await guarded.consume({ limit: 20, cost: 3 }),
    ];
    expect((await guarded.look({ limit: 20 })).remaining).toBe(0);
    await guarded.store.refund(chargedIn(replies[1] as StoreReply));
    expect((await guarded.look({ limit: 20 })).remaining).toBe(3);
  });

  test('a charge to both goes to both, once', async () => {
    const guarded = new Guarded();
    await guarded.during('rejects', () => guarded.consume({ limit: 10, cost: 2 }));
    const reply = await guarded.consume({ limit: 10, cost: 3 });
    expect(guarded.inStore({ limit: 10 }).remaining).toBe(7);
    await guarded.store.refund(chargedIn(reply));
    expect(guarded.held.told).toEqual(['refund 1']);
    expect(await left(guarded, { limit: 10 })).toEqual([10, 8]);
  });

  test.each(['fixed-window', 'token-bucket'] as const)(
    'what stands beside the store under %s is not charged for a request that the store denies',
    async (algorithm) => {
      const guarded = new Guarded();
      const own: Asked = { name: 'own', algorithm };
      await guarded.during('rejects', () => guarded.consume(own));
      guarded.elsewhere({ name: 'full', cost: 5 });
      for (let i = 0; i < 3; i++) {
        const { decisions, degraded } = await guarded.consume(own, { name: 'full' });
        expect([degraded, ...decisions.map(({ allowed }) => allowed)]).toEqual([false, true, false]);
      }
      expect(await left(guarded, own)).toEqual([5, 4]);
    },
  );

  test('of one request, each charge goes where it was made', async () => {
    const guarded = new Guarded();
    await guarded.during('rejects', () => guarded.consume({ name: 'known' }));
    const reply = await guarded.consume({ name: 'known' }, { name: 'new' });
    await guarded.store.refund(chargedIn(reply));
    expect(guarded.held.told).toEqual(['refund 2']);
    expect(await left(guarded, { name: 'known' })).toEqual([5, 4]);
    expect(await left(guarded, { name: 'new' })).toEqual([5, 5]);
  });

  test('a shadow charge that the store has not made goes to this process alone', async () => {
    const guarded = new Guarded();
    await guarded.during('rejects', () => guarded.consume({ shadow: true }));
    guarded.elsewhere({ cost: 5 });
    const reply = await guarded.consume({ shadow: true });
    await guarded.store.refund(chargedIn(reply));
    expect(guarded.held.told).toEqual([]);
    expect(guarded.inStore().remaining).toBe(0);
  });

  test('a shadow limit that has no room here is charged nothing in the store either', async () => {
    const guarded = new Guarded({ aheadMs: 60 * MINUTE });
    await guarded.during('rejects', () => guarded.admitted(5, { shadow: true }));
    const reply = await guarded.consume({ shadow: true });
    expect([reply.decisions[0]?.allowed, guarded.inStore().remaining]).toEqual([false, 5]);
    expect(chargedIn(reply)).toEqual([]);
  });

  test('the refund of a charge to a store that is not called fails, and what this process charged is given back', async () => {
    const guarded = new Guarded({ threshold: 2 });
    await guarded.during('rejects', () => guarded.consume({ limit: 10, cost: 2 }));
    const reply = await guarded.consume({ limit: 10, cost: 3 });
    await guarded.during('rejects', async () => {
      await guarded.consume({ name: 'other' });
      await guarded.consume({ name: 'other' });
    });
    expect((await guarded.look({ limit: 10 })).remaining).toBe(5);
    await expect(guarded.store.refund(chargedIn(reply))).rejects.toThrow(
      'The store is failing and is not called at the moment.',
    );
    expect(guarded.held.told).toEqual([]);
    expect((await guarded.look({ limit: 10 })).remaining).toBe(8);
  });

  test('what fails is told to the caller', async () => {
    const guarded = new Guarded();
    const reply = await guarded.consume();
    const refund = () => guarded.store.refund(chargedIn(reply));
    await expect(guarded.during('throws', refund)).rejects.toThrow('store is down');
    await expect(guarded.during('rejects', refund)).rejects.toThrow('store is down');
  });
});
