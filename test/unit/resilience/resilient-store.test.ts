import type { FailMode } from 'nestjs-ratelimit';
import { toOutcome } from '../../../lib/core/decision.js';
import { RateLimiter } from '../../../lib/limiter/rate-limiter.js';
import { StoreUnavailableError } from '../../../lib/store/store.js';
import { type Asked, asCharge, Guarded, MINUTE } from '../../support/guarded.js';
import { DOWN, type Manner, turn } from '../../support/held-store.js';

const asked = (failMode: FailMode, more: Asked = {}): Asked => ({ name: failMode, failMode, ...more });

const throwing = (): never => {
  throw DOWN;
};

/** How a store may fail a request. */
const failing: readonly (readonly [how: string, manner: Manner])[] = [
  ['throws', 'throws'],
  ['rejects', 'rejects'],
  ['hangs', 'hangs'],
  ['charges, and answers too late', 'slow'],
];

describe.each(failing)('A37 a request to a store that %s', (_how, manner) => {
  test('is decided by the process if its limit is local, admitted if open, and rejected if closed', async () => {
    const guarded = new Guarded();
    const decide = (failMode: FailMode) => guarded.during(manner, () => guarded.consume(asked(failMode)));
    expect(await decide('local')).toMatchObject({
      degraded: true,
      decisions: [{ allowed: true, remaining: 4 }],
    });
    expect(await decide('open')).toEqual({ degraded: true, decisions: [] });
    const rejected = decide('closed');
    await expect(rejected).rejects.toThrow(StoreUnavailableError);
    await expect(rejected).rejects.toMatchObject({ limits: ['closed'], retryAfterMs: 0 });
    expect(guarded.heard).toEqual(['degraded local', 'degraded open', 'degraded closed']);
  });

  test('a shadow limit that is local denies nobody, and says when it would', async () => {
    const guarded = new Guarded();
    const shadow = asked('local', { limit: 1, shadow: true });
    for (const allowed of [true, false, false]) {
      const { decisions, degraded } = await guarded.during(manner, () => guarded.consume(shadow));
      expect([decisions[0]?.allowed, toOutcome(decisions, degraded).allowed]).toEqual([allowed, true]);
    }
  });

  test('a look at it is decided alike', async () => {
    const guarded = new Guarded();
    const peek = (...limits: Asked[]) => guarded.during(manner, () => guarded.peek(...limits));
    expect(await peek(asked('local'))).toMatchObject({ degraded: true, decisions: [{ remaining: 5 }] });
    expect(await peek(asked('open'))).toEqual({ degraded: true, decisions: [] });
    await expect(peek(asked('closed'))).rejects.toThrow(StoreUnavailableError);
  });
});

describe('A37 a request', () => {
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['no decisions', {}],
    ['something else', 'OK'],
  ])('that is answered %s, at once or later, is decided without the store', async (_what, answer) => {
    const guarded = new Guarded();
    for (const reply of [answer, Promise.resolve(answer)]) {
      guarded.held.consume = () => reply as never;
      expect(await guarded.consume()).toMatchObject({ degraded: true });
      await expect(guarded.consume(asked('closed'))).rejects.toThrow(
        "limits with failMode 'closed' need it: closed",
      );
    }
    expect(String(guarded.causes[0])).toContain('The store returned no decisions.');
  });

  test('is answered at once by a store that does so', () => {
    const guarded = new Guarded({ manner: 'at-once' });
    expect(guarded.store.consume([asCharge()])).toMatchObject({ degraded: false });
    expect(guarded.store.peek([asCharge()])).toMatchObject({ decisions: [{ remaining: 4 }] });
    expect(guarded.counted.running).toBe(0);
  });

  test('is told why it was decided without the store', async () => {
    const guarded = new Guarded();
    await guarded.during('rejects', () => guarded.consume());
    await guarded.during('throws', () => guarded.consume());
    await guarded.during('hangs', () => guarded.consume());
    expect(guarded.causes.slice(0, 2)).toEqual([DOWN, DOWN]);
    expect(String(guarded.causes[2])).toBe('StoreTimeoutError: The store did not respond within 100 ms.');
    await expect(guarded.during('rejects', () => guarded.consume(asked('closed')))).rejects.toMatchObject({
      cause: DOWN,
    });
  });
});

describe('A38 calls to a store that fails', () => {
  const open = async (options = {}) => {
    const guarded = new Guarded({ threshold: 3, ...options });
    await guarded.during('rejects', () => guarded.verdicts(3, { limit: 100 }));
    guarded.held.asked.length = 0;
    return guarded;
  };

  test.each(failing)(
    'stop after as many failures in a row as its threshold, where it %s',
    async (_how, manner) => {
      const guarded = new Guarded({ threshold: 3 });
      for (let i = 0; i < 3; i++) await guarded.during(manner, () => guarded.consume());
      expect(guarded.held.asked).toHaveLength(3);
      for (let i = 0; i < 5; i++) expect(await guarded.consume()).toMatchObject({ degraded: true });
      await guarded.peek();
      expect([guarded.held.asked.length, guarded.held.told]).toEqual([3, []]);
    },
  );

  test.each<[string, Manner]>([
    ['later', 'answers'],
    ['at once', 'at-once'],
  ])('do not stop while it answers in between, %s', async (_when, manner) => {
    const guarded = new Guarded({ threshold: 3, manner });
    for (let i = 0; i < 10; i++) {
      await guarded.during('rejects', () => guarded.verdicts(2, { limit: 100 }));
      await guarded.decide({ limit: 100, identity: `user:${i}` });
    }
    expect(guarded.heard.filter((what) => what.startsWith('breaker'))).toEqual([]);
    expect(guarded.store.health().shards[0]?.failures).toBe(0);
  });

  test('stop though a store that is shared answers in between what it remembers', async () => {
    const guarded = new Guarded({ threshold: 3, shared: true });
    await guarded.during('rejects', () => guarded.verdicts(2));
    await guarded.during('at-once', () => guarded.consume({ identity: 'user:2' }));
    await guarded.during('rejects', () => guarded.consume());
    expect(guarded.store.health().status).toBe('degraded');
  });

  test('are not stopped by what began before it worked again, and fails only now', async () => {
    const guarded = new Guarded({ threshold: 3, timeoutMs: 500, manner: 'hangs' });
    const before = Array.from({ length: 6 }, (_, i) => guarded.consume({ identity: `user:${i}` }));
    await turn();
    await guarded.during('rejects', () => guarded.verdicts(3));
    guarded.held.manner = 'answers';
    await guarded.pass(100);
    expect(guarded.store.health().status).toBe('up');
    await guarded.pass(450);
    expect((await Promise.all(before)).map(({ degraded }) => degraded)).toEqual(Array(6).fill(true));
    expect(guarded.store.health().status).toBe('up');
  });

  test('go on once a probe has been answered, of which there is one at a time', async () => {
    const guarded = await open();
    guarded.held.manner = 'hangs';
    await guarded.pass(100);
    await guarded.pass(50);
    expect(guarded.held.probes).toEqual(['probe:0']);
    expect(await guarded.consume()).toMatchObject({ degraded: true });
    guarded.held.answer();
    await turn();
    expect(guarded.held.asked).toEqual([]);
    guarded.held.manner = 'answers';
    expect(await guarded.consume({ identity: 'user:2' })).toMatchObject({ degraded: false });
    await guarded.pass(MINUTE);
    expect(guarded.held.probes).toHaveLength(1);
  });

  test('wait while probes fail, throw, hang or are answered nothing', async () => {
    const guarded = await open();
    guarded.held.manner = 'throws';
    for (let i = 0; i < 20; i++) await guarded.pass(100);
    const thrown = guarded.held.probes.length;
    expect(thrown).toBeGreaterThan(2);
    guarded.held.manner = 'hangs';
    for (let i = 0; i < 40; i++) await guarded.pass(100);
    const hung = guarded.held.probes.length;
    expect(hung).toBeGreaterThan(thrown);
    const { consume } = guarded.held;
    guarded.held.consume = () => undefined as never;
    for (let i = 0; i < 40; i++) await guarded.pass(100);
    expect(guarded.store.health().status).toBe('degraded');
    guarded.held.consume = consume;
    guarded.held.manner = 'answers';
    for (let i = 0; i < 11; i++) await guarded.pass(100);
    expect(guarded.store.health().status).toBe('up');
  });

  test.each<[string, Manner, number, string]>([
    ['go on', 'answers', 1, 'up'],
    ['wait', 'rejects', 1, 'degraded'],
  ])(
    '%s after a probe of a store that says that it is back and %s',
    async (_what, manner, probes, status) => {
      const guarded = await open();
      guarded.held.manner = manner;
      guarded.held.ready();
      await turn();
      expect([guarded.held.probes.length, guarded.store.health().status]).toEqual([probes, status]);
    },
  );

  test('a probe charges a key of its own, which ends by itself', async () => {
    const guarded = await open();
    const before = guarded.held.inner.size;
    await guarded.pass(100);
    expect([guarded.held.probes, guarded.held.inner.size]).toEqual([['probe:0'], before + 1]);
    await guarded.pass(2_000);
    expect(guarded.held.inner.size).toBe(before);
  });

  test('a closed limit tells how long it is until the next probe', async () => {
    const guarded = await open();
    const error = await guarded.consume(asked('closed')).catch((thrown: StoreUnavailableError) => thrown);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    const { retryAfterMs, cause } = error as StoreUnavailableError;
    expect(cause).toBe(DOWN);
    expect(retryAfterMs).toBeGreaterThanOrEqual(50);
    expect(retryAfterMs).toBeLessThanOrEqual(100);
    await guarded.pass(retryAfterMs);
    expect(await guarded.consume(asked('closed'))).toMatchObject({ degraded: false });
  });
});

describe('A38 a store whose nodes fail by themselves', () => {
  // `probe:<i>` falls to the nodes in turn.
  const shardOf = (identity: string): string => {
    const [kind = '', value] = identity.split(':');
    return kind === 'probe' ? (['a', 'b'][Number(value) % 2] as string) : kind;
  };
  const onlyB = async () => {
    const guarded = new Guarded({ threshold: 2, shardOf });
    guarded.held.failing.add('a');
    for (const identity of ['a:1', 'a:2']) await guarded.consume({ identity });
    guarded.held.asked.length = 0;
    return guarded;
  };

  test('goes on deciding with the others', async () => {
    const guarded = await onlyB();
    expect(await guarded.consume({ identity: 'a:1' })).toMatchObject({ degraded: true });
    expect(await guarded.consume({ identity: 'b:1' })).toMatchObject({ degraded: false });
    expect(guarded.held.asked.flat().map(({ identity }) => identity)).toEqual(['b:1']);
  });

  test('decides a request that concerns a failing one without any', async () => {
    const guarded = await onlyB();
    const { degraded, decisions } = await guarded.consume({ identity: 'b:1' }, { identity: 'a:1' });
    expect([degraded, decisions.length, guarded.held.asked]).toEqual([true, 2, []]);
  });

  test('blames a request over both on the one that has not answered since', async () => {
    const guarded = new Guarded({ threshold: 2, shardOf });
    guarded.held.manner = 'hangs';
    const both = [1, 2].map((i) => guarded.consume({ identity: `a:${i}` }, { identity: `b:${i}` }));
    await guarded.pass(50);
    guarded.held.manner = 'answers';
    await guarded.consume({ identity: 'b:3' });
    await guarded.pass(60);
    await Promise.all(both);
    expect(guarded.store.health().shards.map(({ shard, breaker }) => [shard, breaker])).toEqual([
      ['b', 'closed'],
      ['a', 'open'],
    ]);
  });

  test.each(['open', 'closed'] as const)(
    'tells nothing of limits that are %s meanwhile',
    async (failMode) => {
      const { held } = new Guarded({ shardOf: () => 'a' });
      const breaker = { threshold: 1 };
      const limiter = new RateLimiter({ scopes: { mail: '5/min' }, store: held, failMode, breaker });
      expect(await limiter.status({ identity: 'user:1' })).toMatchObject([{ scope: 'mail', remaining: 5 }]);
      held.failing.add('a');
      await limiter.consume({ scope: 'mail', identity: 'user:1' }).catch(() => undefined);
      expect(limiter.health().status).toBe('degraded');
      expect(await limiter.status({ identity: 'user:1' })).toEqual([]);
    },
  );

  test('operations reach the nodes that work, and those alone', async () => {
    const guarded = await onlyB();
    await guarded.store.reset({ identity: 'b:1' });
    await expect(guarded.store.reset({ identity: 'a:1' })).rejects.toThrow('not called at the moment');
    expect(guarded.held.told).toEqual(['reset b:1']);
  });

  test('is well again when all of them are', async () => {
    const guarded = await onlyB();
    guarded.held.failing.add('b');
    for (const identity of ['b:1', 'b:2']) await guarded.consume({ identity });
    guarded.held.failing.delete('a');
    guarded.heard.length = 0;
    for (let i = 0; i < 12; i++) await guarded.pass(100);
    expect(guarded.heard.filter((what) => !what.includes(' b '))).toEqual([
      'breaker a half-open',
      'breaker a closed',
    ]);
    guarded.held.failing.clear();
    for (let i = 0; i < 12; i++) await guarded.pass(100);
    // All but the first one, after which it was not known to fail.
    expect(guarded.heard.at(-1)).toMatch(/^recovered \d+ 3$/);
  });
});

describe('what is told of a store', () => {
  test('an outage, its probes and its end, each once', async () => {
    const guarded = new Guarded({ threshold: 2, manner: 'rejects' });
    for (let i = 0; i < 4; i++) await guarded.consume();
    for (let i = 0; i < 3; i++) await guarded.pass(100);
    await guarded.consume(asked('closed')).catch(() => undefined);
    guarded.held.manner = 'answers';
    for (let i = 0; i < 10; i++) await guarded.pass(100);
    await guarded.consume({ identity: 'user:2' });
    const breaker = guarded.heard.filter((what) => what.startsWith('breaker'));
    expect(breaker[0]).toBe('breaker  open');
    expect(breaker.at(-1)).toBe('breaker  closed');
    // It is tried, and stops again, in turns.
    expect(breaker.slice(1, -1)).toEqual(
      breaker.slice(1, -1).map((_, i) => (i % 2 === 0 ? 'breaker  half-open' : 'breaker  open')),
    );
    expect(guarded.heard.filter((what) => what.startsWith('degraded'))).toEqual([
      ...Array(4).fill('degraded limit'),
      'degraded closed',
    ]);
    // All but the one that was decided before it opened.
    expect(guarded.heard.filter((what) => what.startsWith('recovered'))).toEqual([
      expect.stringMatching(/^recovered \d+ 4$/),
    ]);
  });

  test('of each outage how long that one was', async () => {
    const guarded = new Guarded({ threshold: 1 });
    for (const identity of ['user:1', 'user:2']) {
      await guarded.during('rejects', () => guarded.consume({ identity }));
      const startMs = guarded.clock.now();
      for (let i = 0; i < 11 && guarded.store.health().status !== 'up'; i++) await guarded.pass(10);
      expect(guarded.heard.at(-1)).toBe(`recovered ${guarded.clock.now() - startMs} 1`);
      await guarded.pass(MINUTE);
    }
  });

  test('nothing, of a store that works', async () => {
    const guarded = new Guarded({ threshold: 1 });
    await guarded.store.open();
    for (let i = 0; i < 10; i++) await guarded.consume();
    await guarded.pass(MINUTE);
    expect(guarded.heard).toEqual([]);
  });

  test('its health', async () => {
    const guarded = new Guarded({ threshold: 2 });
    const up = { shard: '', breaker: 'closed', failures: 0, error: null, retryAfterMs: 0 };
    expect(guarded.store.health()).toEqual({ status: 'up', shards: [up], degraded: 0 });
    guarded.held.manner = 'rejects';
    await guarded.consume();
    expect(guarded.store.health()).toEqual({ status: 'up', shards: [{ ...up, failures: 1 }], degraded: 1 });
    await guarded.consume();
    await guarded.consume(asked('closed')).catch(() => undefined);
    expect(guarded.store.health()).toEqual({
      status: 'degraded',
      shards: [
        {
          shard: '',
          breaker: 'open',
          failures: 2,
          error: 'store is down',
          retryAfterMs: expect.any(Number),
        },
      ],
      degraded: 3,
    });
    guarded.held.manner = 'answers';
    await guarded.pass(100);
    expect(guarded.store.health()).toEqual({ status: 'up', shards: [up], degraded: 3 });
  });
});

describe('a store when it is opened', () => {
  test('is opened and probed, so that an outage is known before the first request', async () => {
    const guarded = new Guarded({ manner: 'rejects' });
    let opened = 0;
    Object.assign(guarded.held, { open: async () => void opened++ });
    await guarded.store.open();
    expect([opened, guarded.held.probes, guarded.heard]).toEqual([1, ['probe:0'], ['breaker  open']]);
    expect(await guarded.consume()).toMatchObject({ degraded: true });
    expect(guarded.held.asked).toEqual([]);
    guarded.held.manner = 'answers';
    await guarded.pass(100);
    expect(await guarded.consume({ identity: 'user:2' })).toMatchObject({ degraded: false });
  });

  test.each<[string, () => unknown, number]>([
    ['throws', throwing, 0],
    ['is rejected', async () => throwing(), 0],
    ['never ends', () => new Promise(() => undefined), 2_000],
  ])('is known to fail when opening it %s', async (_how, open, afterMs) => {
    const guarded = new Guarded();
    Object.assign(guarded.held, { open });
    await Promise.all([guarded.store.open(), guarded.pass(afterMs)]);
    expect([guarded.store.health().status, guarded.held.probes]).toEqual(['degraded', []]);
  });

  test('that has nothing to open is not probed', async () => {
    const guarded = new Guarded();
    await guarded.store.open();
    expect(guarded.held.probes).toEqual([]);
  });
});

describe('a store when it is closed', () => {
  test('A42 waits for what is under way', async () => {
    const guarded = new Guarded({ manner: 'hangs' });
    let isAnswered = false;
    void guarded.consume().then(() => {
      isAnswered = true;
    });
    await turn();
    const closed = guarded.store.close();
    await turn();
    expect([isAnswered, guarded.held.told]).toEqual([false, []]);
    await guarded.expire();
    await closed;
    expect([isAnswered, guarded.held.told, guarded.counted.running]).toEqual([true, ['close'], 0]);
  });

  test.each<[string, (guarded: Guarded) => Promise<unknown>]>([
    ['whose breaker is open', (guarded) => guarded.during('rejects', () => guarded.consume())],
    [
      'that is being probed',
      async (guarded) => {
        await guarded.during('rejects', () => guarded.consume());
        guarded.held.manner = 'hangs';
        await guarded.pass(100);
        expect(guarded.held.probes).toHaveLength(1);
      },
    ],
    [
      'that fails what is under way',
      async (guarded) => {
        guarded.held.manner = 'hangs';
        void guarded.consume();
        await turn();
      },
    ],
  ])('A42 one %s is not probed any more', async (_which, prepare) => {
    const guarded = new Guarded({ threshold: 1 });
    await prepare(guarded);
    const { length } = guarded.held.probes;
    const closed = guarded.store.close();
    await guarded.expire();
    await closed;
    guarded.held.fail();
    for (let i = 0; i < 30; i++) await guarded.pass(100);
    expect([guarded.held.probes.length, guarded.counted.running]).toEqual([length, 0]);
  });
});

describe('what an operator asks of a store', () => {
  /** Whether requests of an identity pass: by the store, and by this process without it. */
  const pass = async (guarded: Guarded, limit: Asked = {}) => [
    guarded.inStore(limit).allowed,
    (await guarded.during('rejects', () => guarded.look(limit))).allowed,
  ];

  test('reset reaches the store and this process', async () => {
    const guarded = new Guarded();
    await guarded.verdicts(5);
    await guarded.store.reset({ identity: 'user:1' });
    expect(await pass(guarded)).toEqual([true, true]);
    const without = new Guarded();
    await without.during('rejects', () => without.verdicts(5));
    expect((await without.decide()).allowed).toBe(false);
    await without.store.reset({ identity: 'user:1' });
    expect(await without.admitted(6)).toBe(5);
  });

  test('reset of one scope leaves the others, and other identities', async () => {
    const guarded = new Guarded();
    const others: Asked[] = [{ scope: 'other' }, { identity: 'user:2' }];
    for (const limit of [{}, ...others]) await guarded.verdicts(5, limit);
    await guarded.store.reset({ identity: 'user:1', scope: 'test' });
    expect(await pass(guarded)).toEqual([true, true]);
    for (const limit of others) expect(await pass(guarded, limit)).toEqual([false, false]);
  });

  test('block and unblock reach the store and this process', async () => {
    const guarded = new Guarded();
    await guarded.store.block('user:1', 15 * MINUTE);
    expect(await pass(guarded)).toEqual([false, false]);
    await guarded.store.unblock('user:1');
    expect(await pass(guarded)).toEqual([true, true]);
  });

  test('unblock ends a block that this process has taken over, or may take over', async () => {
    const blockDurationsMs = [15 * MINUTE];
    const guarded = new Guarded();
    await guarded.verdicts(6, { blockDurationsMs });
    await guarded.pass(2 * MINUTE);
    await guarded.store.unblock('user:1');
    expect(await pass(guarded)).toEqual([true, true]);
    await guarded.verdicts(6, { blockDurationsMs });
    expect(await pass(guarded)).toEqual([false, false]);
    await guarded.pass(2 * MINUTE);
    await guarded.store.unblock('user:1');
    expect(await pass(guarded)).toEqual([true, true]);
  });

  test('a block for which this process has no room reaches the store', async () => {
    const guarded = new Guarded({ manner: 'at-once' });
    guarded.held.block = async () => undefined;
    for (let i = 0; i < 125_000; i++) await guarded.store.block(`user:${i}`, MINUTE);
    let blocked = '';
    guarded.held.block = async (identity) => {
      blocked = identity;
    };
    await guarded.store.block('user:last', MINUTE);
    expect(blocked).toBe('user:last');
  });

  const operations: [string, (guarded: Guarded) => Promise<void>][] = [
    ['reset', ({ store }) => store.reset({ identity: 'user:1' })],
    ['block', ({ store }) => store.block('user:1', 1_000)],
    ['unblock', ({ store }) => store.unblock('user:1')],
  ];

  test.each(operations)('%s fails while the store is not called, and says why', async (_what, ask) => {
    const guarded = new Guarded({ threshold: 1 });
    await guarded.during('rejects', () => guarded.consume());
    await expect(ask(guarded)).rejects.toThrow('The store is failing and is not called at the moment.');
    await expect(ask(guarded)).rejects.toMatchObject({ cause: DOWN });
    expect(guarded.held.told).toEqual([]);
  });

  test.each(operations)('%s that fails, or takes too long, says so', async (_what, ask) => {
    const guarded = new Guarded();
    await expect(guarded.during('throws', () => ask(guarded))).rejects.toThrow('store is down');
    await expect(guarded.during('rejects', () => ask(guarded))).rejects.toThrow('store is down');
    guarded.held.manner = 'hangs';
    const hanging = ask(guarded);
    hanging.catch(() => undefined);
    await guarded.pass(1_999);
    expect(guarded.counted.running).toBeGreaterThan(0);
    await guarded.pass(1);
    await expect(hanging).rejects.toThrow('The store did not respond within 2000 ms.');
  });

  test('what this process can do by itself is done while the store is not called', async () => {
    const guarded = new Guarded({ threshold: 1, manner: 'rejects' });
    await guarded.verdicts(5);
    await guarded.store.reset({ identity: 'user:1' }).catch(() => undefined);
    expect((await guarded.decide()).allowed).toBe(true);
    await guarded.store.block('user:1', MINUTE).catch(() => undefined);
    expect((await guarded.decide()).allowed).toBe(false);
    await guarded.store.unblock('user:1').catch(() => undefined);
    expect((await guarded.decide()).allowed).toBe(true);
  });
});
