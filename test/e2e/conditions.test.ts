import { UseGuards } from '@nestjs/common';
import { RateLimit, type RateLimitContext } from 'nestjs-ratelimit';
import { AuthGuard, platforms, routes, starter, statuses, throwing, times } from '../support/app.js';

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(resolve, value));

const limited = ({ header }: RateLimitContext) => header('x-limited') === '1';

const Conditional = routes({
  'ALL /independent': [
    RateLimit({ name: 'reads', rate: '1/min', methods: ['GET'] }),
    RateLimit({ name: 'writes', rate: '1/min', methods: ['POST'] }),
  ],
  'ALL /unsafe': RateLimit({ rate: '0/min', methods: ['POST', 'PUT', 'PATCH', 'DELETE'] }),
  '/when': RateLimit({ rate: '1/min', when: limited }),
  '/when-later': RateLimit({ rate: '1/min', when: async (context) => later(limited(context)) }),
  '/skip-if': RateLimit({ rate: '1/min', skipIf: (context) => !limited(context) }),
  '/skip-if-later': RateLimit({ rate: '1/min', skipIf: async (context) => later(!limited(context)) }),
  '/both': RateLimit({ rate: '1/min', when: limited, skipIf: ({ header }) => header('x-skipped') === '1' }),
  '/when-fails': RateLimit({ rate: '1/min', when: throwing(new Error('no database')) }),
  '/skip-if-rejects': RateLimit({ rate: '1/min', skipIf: () => Promise.reject(new Error('no cache')) }),
  '/undecided': RateLimit({ rate: '1/min', when: () => undefined as never, skipIf: () => 'yes' as never }),
});

describe.each(platforms)('conditions of limits on %s', (platform) => {
  const start = starter(platform, { controllers: [Conditional] });

  test('A19 GET and POST are independent, and HEAD counts as GET', async () => {
    const app = await start();
    const as = async (method: string) => (await app.get('/independent', { method })).status;
    expect([await as('GET'), await as('GET')]).toEqual([200, 429]);
    expect([await as('POST'), await as('POST')]).toEqual([200, 429]);
    expect(await as('HEAD')).toBe(429);
    expect(await as('PUT')).toBe(200);
    app.clock.advance('1min');
    expect([await as('HEAD'), await as('GET')]).toEqual([200, 429]);
  });

  test('A20 0/min for unsafe methods: GET, HEAD and OPTIONS pass, the others are denied', async () => {
    const app = await start();
    for (const method of ['GET', 'HEAD', 'OPTIONS'])
      expect([method, (await app.get('/unsafe', { method })).status]).toEqual([method, 200]);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      expect([method, (await app.get('/unsafe', { method })).status]).toEqual([method, 429]);
    expect((await app.get('/unsafe')).headers.get('x-ratelimit-limit')).toBeNull();
  });
});

describe('conditions of limits', () => {
  const start = starter('express', { controllers: [Conditional] });

  test.each(['/when', '/when-later', '/skip-if', '/skip-if-later', '/both'])(
    '%s: the limit applies to some requests, and the others are not charged',
    async (path) => {
      const app = await start();
      const headers = { 'x-limited': '1' };
      expect(await statuses(app, 5, path)).toEqual(times(5, 200));
      expect((await app.get(path)).headers.get('x-ratelimit-limit')).toBeNull();
      expect(app.store.size).toBe(0);
      expect(await statuses(app, 2, path, { headers })).toEqual([200, 429]);
      expect(await statuses(app, 2, path)).toEqual(times(2, 200));
    },
  );

  test('with when and skipIf, the limit is skipped if skipIf is true', async () => {
    const app = await start();
    const both = { headers: { 'x-limited': '1', 'x-skipped': '1' } };
    expect(await statuses(app, 3, '/both', both)).toEqual(times(3, 200));
  });

  test('if a function fails, the limit applies, and each limit is logged once', async () => {
    const app = await start();
    for (const path of ['/when-fails', '/skip-if-rejects'])
      expect(await statuses(app, 3, path)).toEqual([200, 429, 429]);
    expect(app.logged).toEqual([
      expect.stringMatching(/Shop\.whenFails: The when function failed, so the limit applies\..*no database/),
      expect.stringMatching(
        /Shop\.skipIfRejects: The skipIf function failed, so the limit applies\..*no cache/,
      ),
    ]);
  });

  test('only false from when and true from skipIf skip the limit', async () => {
    const app = await start();
    expect(await statuses(app, 2, '/undecided')).toEqual([200, 429]);
  });

  test('after the guards, a condition sees the user', async () => {
    const app = await start({
      routes: {
        '/when': RateLimit({
          rate: '1/min',
          key: 'user',
          phase: 'after-guards',
          when: ({ user }) => user?.tier === 'free',
        }),
        '/skip-if': RateLimit({
          rate: '1/min',
          phase: 'after-guards',
          skipIf: ({ user }) => user?.isStaff === true,
        }),
      },
      decorators: [UseGuards(AuthGuard)],
      middleware: false,
    });
    expect(await statuses(app, 3, '/when', { as: 'alice' })).toEqual([200, 429, 429]);
    expect(await statuses(app, 3, '/when', { as: 'bob' })).toEqual(times(3, 200));
    expect(await statuses(app, 3, '/skip-if', { as: 'staff' })).toEqual(times(3, 200));
    expect(await statuses(app, 3, '/skip-if', { as: 'alice' })).toEqual([200, 429, 429]);
  });
});
