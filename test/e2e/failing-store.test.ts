import { UseGuards } from '@nestjs/common';
import {
  MemoryStore,
  RateLimit,
  RateLimiter,
  type Store,
  StoreUnavailableError,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import {
  type Answer,
  AuthGuard,
  type Platform,
  platforms,
  routes,
  starter,
  statuses,
  type TestApp,
  throwing,
  times,
} from '../support/app.js';
import { downStore, laterStore, storeWith } from '../support/stores.js';

const Shop = routes({
  '/plain': RateLimit({ name: 'plain', rate: '3/min' }),
  '/both': [
    UseGuards(new AuthGuard()),
    RateLimit({ name: 'address', rate: '4/min', key: 'ip' }),
    RateLimit({ name: 'user', rate: '2/min', key: 'user' }),
  ],
  '/scope': ThrottleScope('shop'),
  '/free': [],
});

const down = throwing(new Error('store is down'));

/** Starts applications whose breaker stays closed, so that every request reaches the store. */
const onStores = (platform: Platform) => {
  const open = starter(platform, { controllers: [Shop], middleware: false });
  return (store: Store) =>
    open({
      options: { store, scopes: { shop: '3/min' }, failMode: 'closed', breaker: { threshold: 1_000 } },
    });
};

async function answers503(app: TestApp): Promise<void> {
  for (const path of ['/plain', '/plain', '/both', '/scope']) {
    const { status, headers, json } = await app.get(path, { as: 'alice' });
    expect([status, headers.get('retry-after'), headers.get('cache-control')]).toEqual([
      503,
      '1',
      'no-store',
    ]);
    expect(json).toEqual({
      statusCode: 503,
      error: 'rate_limit_unavailable',
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      message: 'The request could not be checked against its rate limit. Try again shortly.',
    });
  }
  expect((await app.get('/free')).status).toBe(200);
  expect(app.logged).toEqual([
    expect.stringContaining('store: The store failed a request. Its limits were decided by their failMode.'),
  ]);
}

describe.each(platforms)('a store that fails on %s', (platform) => {
  const start = onStores(platform);

  test('a charge that throws is a 503 with Retry-After, and is logged once with its cause', async () => {
    const app = await start(downStore());
    await answers503(app);
    expect(app.logged[0]).toContain('store is down');
  });

  test('a 503 after the guards has no headers of charges that were refunded', async () => {
    const store = new MemoryStore();
    const app = await start(
      storeWith(store, {
        consume: (charges) =>
          charges.some(({ policy }) => policy.name === 'user') ? down() : store.consume(charges),
      }),
    );
    const { status, headers } = await app.get('/both', { as: 'alice' });
    expect(status).toBe(503);
    expect([...headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
  });

  test('an asynchronous store decides like a synchronous one', async () => {
    const told = ({ status, headers, text }: Answer) => [
      status,
      text,
      ...['ratelimit', 'ratelimit-policy', 'x-ratelimit-reset', 'retry-after', 'cache-control'].map((name) =>
        headers.get(name),
      ),
    ];
    const clock = new TestClock(Date.now());
    const answersOf = async (store: Store) => {
      const app = await start(store);
      const answers: unknown[] = [];
      for (const path of ['/plain', '/both', '/scope']) {
        for (let i = 0; i < 5; i++) answers.push(told(await app.get(path, { as: 'alice' })));
        for (let i = 0; i < 3; i++) answers.push(told(await app.get(path, { as: 'bob' })));
      }
      return answers;
    };
    const atOnce = await answersOf(new MemoryStore({ clock }));
    expect(await answersOf(laterStore(new MemoryStore({ clock })))).toEqual(atOnce);
    expect(atOnce.map((answer) => (answer as unknown[])[0])).toEqual([
      ...[200, 200, 200, ...times(5, 429)],
      ...[200, 200, 429, 429, 429, 200, 200, 429],
      ...[200, 200, 200, ...times(5, 429)],
    ]);
  });
});

describe('a store that fails', () => {
  const start = onStores('express');
  const failures: [string, () => never | Promise<never>][] = [
    ['throws', down],
    ['rejects', async () => down()],
  ];

  test.each<[string, Store['consume']]>([
    ['rejects', async () => down()],
    ['returns nothing', () => undefined as never],
    ['resolves to nothing', async () => undefined as never],
  ])('a charge that %s is a 503 with Retry-After, and is logged once', async (_how, consume) => {
    await answers503(await start(storeWith(new MemoryStore(), { consume })));
  });

  test('RateLimiter throws the error', async () => {
    const app = await start(downStore());
    const asked = app.app.get(RateLimiter).consume({ scope: 'shop', identity: 'user:1' });
    await expect(asked).rejects.toThrow(StoreUnavailableError);
    await expect(asked).rejects.toMatchObject({ limits: ['shop'], cause: new Error('store is down') });
  });

  test.each(failures)(
    'if the charge after the guards %s, the charges before them are refunded',
    async (_how, fail) => {
      const store = new MemoryStore();
      let fails = true;
      const app = await start(
        storeWith(store, {
          consume: (charges) =>
            fails && charges.some(({ policy }) => policy.name === 'user') ? fail() : store.consume(charges),
        }),
      );
      for (let i = 0; i < 6; i++) {
        const { status, json } = await app.get('/both', { as: 'alice' });
        expect([status, json.error]).toEqual([503, 'rate_limit_unavailable']);
      }
      fails = false;
      expect((await app.get('/both', { as: 'alice' })).headers.get('ratelimit')).toBe(
        '"address";r=3;t=60, "user";r=1;t=60',
      );
    },
  );

  test.each(failures)(
    'a denial stays a denial if the refund %s, and this is logged',
    async (_how, refund) => {
      const app = await start(storeWith(new MemoryStore(), { refund }));
      expect(await statuses(app, 2, '/both', { as: 'alice' })).toEqual([200, 200]);
      const { status, json } = await app.get('/both', { as: 'alice' });
      expect([status, json.details.throttle_type]).toEqual([429, 'user']);
      expect(app.logged).toEqual([
        expect.stringMatching(/store: A charge could not be given back\..*store is down/),
      ]);
    },
  );

  test('a store that recovers decides again', async () => {
    const store = new MemoryStore();
    let fails = true;
    const app = await start(
      storeWith(store, { consume: (charges) => (fails ? down() : store.consume(charges)) }),
    );
    expect(await statuses(app, 5, '/plain')).toEqual(times(5, 503));
    fails = false;
    expect(await statuses(app, 4, '/plain')).toEqual([...times(3, 200), 429]);
  });

  test('an asynchronous store does not admit more of many parallel requests', async () => {
    const app = await start(laterStore(new MemoryStore()));
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.get('/plain')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
  });
});
