import { All, Controller, Get, Post, UseGuards } from '@nestjs/common';
import { RateLimit, RateLimitConfigError } from 'nestjs-ratelimit';
import { AuthGuard, platforms, starter, statuses, times } from '../support/app.js';

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(resolve, value));

@Controller()
class Conditional {
  @All('independent')
  @RateLimit({ name: 'reads', rate: '1/min', methods: ['GET'] })
  @RateLimit({ name: 'writes', rate: '1/min', methods: ['POST'] })
  independent() {
    return 'ok';
  }
  @All('unsafe') @RateLimit({ rate: '0/min', methods: ['POST', 'PUT', 'PATCH', 'DELETE'] }) unsafe() {
    return 'ok';
  }
  @Get('when') @RateLimit({ rate: '1/min', when: ({ header }) => header('x-limited') === '1' }) when() {
    return 'ok';
  }
  @Get('when-later')
  @RateLimit({ rate: '1/min', when: async ({ header }) => later(header('x-limited') === '1') })
  whenLater() {
    return 'ok';
  }
  @Get('skip-if')
  @RateLimit({ rate: '1/min', skipIf: ({ header }) => header('x-limited') !== '1' })
  skipIf() {
    return 'ok';
  }
  @Get('skip-if-later')
  @RateLimit({ rate: '1/min', skipIf: async ({ header }) => later(header('x-limited') !== '1') })
  skipIfLater() {
    return 'ok';
  }
  @Get('both')
  @RateLimit({
    rate: '1/min',
    when: ({ header }) => header('x-limited') === '1',
    skipIf: ({ header }) => header('x-skipped') === '1',
  })
  both() {
    return 'ok';
  }
  @Get('when-fails')
  @RateLimit({
    rate: '1/min',
    when: () => {
      throw new Error('no database');
    },
  })
  whenFails() {
    return 'ok';
  }
  @Get('skip-if-rejects')
  @RateLimit({ rate: '1/min', skipIf: () => Promise.reject(new Error('no cache')) })
  skipIfRejects() {
    return 'ok';
  }
  @Get('undecided')
  @RateLimit({ rate: '1/min', when: () => undefined as never, skipIf: () => 'yes' as never })
  undecided() {
    return 'ok';
  }
}

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
      const limited = { headers: { 'x-limited': '1' } };
      expect(await statuses(app, 5, path)).toEqual(times(5, 200));
      expect((await app.get(path)).headers.get('x-ratelimit-limit')).toBeNull();
      expect(app.store.size).toBe(0);
      expect(await statuses(app, 2, path, limited)).toEqual([200, 429]);
      expect(await statuses(app, 2, path)).toEqual(times(2, 200));
    },
  );

  test('with both, the limit is skipped if skipIf says so', async () => {
    const app = await start();
    const both = { headers: { 'x-limited': '1', 'x-skipped': '1' } };
    expect(await statuses(app, 3, '/both', both)).toEqual(times(3, 200));
  });

  test('if a function fails, the limit applies, and each limit is logged once', async () => {
    const app = await start();
    for (const path of ['/when-fails', '/skip-if-rejects'])
      expect(await statuses(app, 3, path)).toEqual([200, 429, 429]);
    expect(app.logged).toEqual([
      expect.stringMatching(
        /Conditional\.whenFails: The when function failed, so the limit applies\..*no database/,
      ),
      expect.stringMatching(
        /Conditional\.skipIfRejects: The skipIf function failed, so the limit applies\..*no cache/,
      ),
    ]);
  });

  test('only false from when and true from skipIf skip the limit', async () => {
    const app = await start();
    expect(await statuses(app, 2, '/undecided')).toEqual([200, 429]);
  });

  test('after the guards, a condition sees the user', async () => {
    @Controller()
    @UseGuards(AuthGuard)
    class Guarded {
      @Get('when')
      @RateLimit({
        rate: '1/min',
        key: 'user',
        phase: 'after-guards',
        when: ({ user }) => user?.tier === 'free',
      })
      when() {
        return 'ok';
      }
      @Get('skip-if')
      @RateLimit({ rate: '1/min', phase: 'after-guards', skipIf: ({ user }) => user?.isStaff === true })
      skipIf() {
        return 'ok';
      }
    }
    const app = await start({
      controllers: [Guarded],
      middleware: false,
    });
    expect(await statuses(app, 3, '/when', { as: 'alice' })).toEqual([200, 429, 429]);
    expect(await statuses(app, 3, '/when', { as: 'bob' })).toEqual(times(3, 200));
    expect(await statuses(app, 3, '/skip-if', { as: 'staff' })).toEqual(times(3, 200));
    expect(await statuses(app, 3, '/skip-if', { as: 'alice' })).toEqual([200, 429, 429]);
  });

  test.each<[string, object]>([
    ['a method in lower case', { methods: ['get'] }],
    ['an unknown method', { methods: ['GET', 'FETCH'] }],
    ['a text', { methods: 'GET' }],
    ['no method', { methods: [] }],
    ['null', { methods: null }],
    ['a when that is not a function', { when: true }],
    ['a skipIf that is not a function', { skipIf: 'never' }],
  ])('%s is an error at start-up', async (_what, options) => {
    @Controller()
    class Wrong {
      @Post() @RateLimit({ rate: '1/min', ...options } as never) handler() {}
    }
    const error = await start({ controllers: [Wrong] }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RateLimitConfigError);
    expect((error as RateLimitConfigError).problems).toMatchObject([
      { code: 'bad-option', source: 'Wrong.handler' },
    ]);
  });
});
