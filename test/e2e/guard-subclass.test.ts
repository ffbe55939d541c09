import { Inject, Injectable, UseGuards } from '@nestjs/common';
import { APP_GUARD, ModuleRef } from '@nestjs/core';
import {
  type LimitInfo,
  RateLimit,
  type RateLimitContext,
  RateLimiter,
  RateLimitGuard,
  RateLimitModule,
} from 'nestjs-ratelimit';
import { AuthGuard, type Platform, platforms, starter, statuses, times } from '../support/app.js';
import { storeWith } from '../support/stores.js';

const auth = UseGuards(new AuthGuard());
const strict = UseGuards(new AuthGuard(true));

const routes = {
  '/': RateLimit('2/min'),
  '/both': [RateLimit({ name: 'first', rate: '5/min' }), RateLimit({ name: 'second', rate: '1/s' })],
  '/staged': [
    auth,
    RateLimit({ name: 'address', rate: '5/min', key: 'ip', phase: 'before-guards' }),
    RateLimit({ name: 'user', rate: '1/min', key: 'user' }),
  ],
};

type Identity = (context: RateLimitContext, limit: LimitInfo<RateLimitContext>) => unknown;

type ShouldSkip = (context: RateLimitContext) => unknown;

const guardWith = ({ identity, shouldSkip }: { identity?: Identity; shouldSkip?: ShouldSkip }) => {
  @Injectable()
  class OwnGuard extends RateLimitGuard {
    protected override identity(context: RateLimitContext, limit: LimitInfo<RateLimitContext>) {
      return (identity === undefined ? super.identity(context, limit) : identity(context, limit)) as string;
    }
    protected override shouldSkip(context: RateLimitContext) {
      return (shouldSkip === undefined ? super.shouldSkip(context) : shouldSkip(context)) as boolean;
    }
  }
  return OwnGuard;
};

const byTenant: Identity = (context) => `tenant:${context.header('x-tenant')}`;

class Tenant {
  name = 'acme';
}

const failing = (): never => {
  throw new Error('no tenants');
};

const tenant = (name: string, from = '203.0.113.1') => ({ from, headers: { 'x-tenant': name } });

/** Starts applications without the registered guard. */
const withGuards = (platform: Platform) => {
  const open = starter(platform, {
    routes,
    middleware: false,
    root: (store) => RateLimitModule.forRoot({ store, registerGuard: false }),
  });
  const start = (guard: new () => RateLimitGuard, options: Parameters<typeof open>[0] = {}) =>
    open({ providers: [{ provide: APP_GUARD, useClass: guard }], ...options });

  return { open, start };
};

describe.each(platforms)('a subclass of the guard on %s', (platform) => {
  const { start } = withGuards(platform);

  test('decides who is charged, who is skipped and what a denial does', async () => {
    @Injectable()
    class OwnGuard extends RateLimitGuard {
      protected override identity(context: RateLimitContext, limit: LimitInfo<RateLimitContext>) {
        return context.header('x-tenant') === undefined
          ? super.identity(context, limit)
          : `tenant:${context.header('x-tenant')}`;
      }
      protected override shouldSkip(context: RateLimitContext) {
        return context.header('x-internal') === 'yes' || super.shouldSkip(context);
      }
      protected override deny(...args: Parameters<RateLimitGuard['deny']>): never {
        args[0].execution.switchToHttp().getResponse().header('x-denied', 'yes');
        return super.deny(...args);
      }
    }
    const app = await start(OwnGuard);
    expect(await statuses(app, 3, '/', tenant('a'))).toEqual([200, 200, 429]);
    expect(await statuses(app, 3, '/', tenant('b'))).toEqual([200, 200, 429]);
    expect((await app.get('/', tenant('a'))).headers.get('x-denied')).toBe('yes');
    await app.app.get(RateLimiter).reset({ identity: 'tenant:a' });
    expect((await app.get('/', tenant('a'))).status).toBe(200);
    expect(await statuses(app, 5, '/', { headers: { 'x-internal': 'yes' } })).toEqual(times(5, 200));
  });
});

describe('a subclass of the guard', () => {
  const { open, start } = withGuards('express');

  test('may have its own constructor with injected providers', async () => {
    const TENANTS = Symbol('tenants');
    @Injectable()
    class TenantGuard extends RateLimitGuard {
      readonly #tenants: ReadonlyMap<string, string>;
      constructor(@Inject(TENANTS) tenants: Readonly<Record<string, string>>) {
        super();
        this.#tenants = new Map(Object.entries(tenants));
      }
      protected override identity(context: RateLimitContext) {
        return `tenant:${this.#tenants.get(context.header('x-tenant') ?? '')}`;
      }
    }
    const app = await open({
      providers: [
        { provide: TENANTS, useValue: { a: 'acme', alias: 'acme', z: 'zenith' } },
        { provide: APP_GUARD, useClass: TenantGuard },
      ],
    });
    expect(await statuses(app, 2, '/', tenant('a'))).toEqual([200, 200]);
    expect((await app.get('/', tenant('alias'))).status).toBe(429);
    expect((await app.get('/', tenant('z'))).status).toBe(200);
  });

  test('may return a promise of the identity, in both phases', async () => {
    const app = await start(guardWith({ identity: async (...args) => byTenant(...args) }));
    for (const [path, count] of [
      ['/', 2],
      ['/both', 1],
      ['/staged', 1],
    ] as const) {
      expect(await statuses(app, count + 1, path, tenant('a'))).toEqual([...times(count, 200), 429]);
      expect((await app.get(path, tenant('a', '203.0.113.2'))).status).toBe(429);
      expect((await app.get(path, tenant('b'))).status).toBe(200);
    }
  });

  test('an identity of null skips the limit, and the other limits of the route apply', async () => {
    const app = await start(
      guardWith({
        identity: (context, limit) => (limit.name === 'second' ? null : limit.identify(context)),
      }),
    );
    const first = await app.get('/both');
    expect(first.headers.get('ratelimit')).toBe('"first";r=4;t=60');
    expect(await statuses(app, 5, '/both')).toEqual([...times(4, 200), 429]);
    expect(app.logged).toEqual([]);
  });

  const invalid = `The guard's identity() returned no identity, so the client's address is charged.`;
  const failed = `The guard's identity() failed, so the client's address is charged.`;

  test.each<[string, Identity, string]>([
    ['returns an empty text', () => '', `${invalid} It was "".`],
    ['resolves to an empty text', async () => '', `${invalid} It was "".`],
    ['returns undefined', () => undefined, invalid],
    ['returns a number', () => 42, `${invalid} It was 42.`],
    ['returns NaN', () => Number.NaN, `${invalid} It was NaN.`],
    ['returns a user', () => ({ id: 42, password: 'hunter2' }), `${invalid} It was { id, password }.`],
    ['returns an instance', () => new Tenant(), `${invalid} It was an object of class Tenant.`],
    ['returns a list', () => ['tenant:a', 'tenant:b'], `${invalid} It was a list.`],
    ['returns a function', () => () => 'tenant:a', `${invalid} It was a function.`],
    ['throws', failing, `${failed} Cause: "no tenants"`],
    ['rejects', async () => failing(), `${failed} Cause: "no tenants"`],
  ])('an identity() that %s is logged, and the address is charged', async (_how, identity, logged) => {
    const app = await start(guardWith({ identity }));
    expect(await statuses(app, 3, '/', { from: '203.0.113.1' })).toEqual([200, 200, 429]);
    expect((await app.get('/', { from: '203.0.113.2' })).status).toBe(200);
    expect(app.logged).toEqual([`Shop.get: ${logged}`]);
    await app.app.get(RateLimiter).reset({ identity: 'ip:203.0.113.1' });
    expect((await app.get('/', { from: '203.0.113.1' })).status).toBe(200);
  });

  test.each<[string, () => unknown]>([
    ['throws', failing],
    ['rejects', async () => failing()],
  ])('a shouldSkip() that %s skips nobody, and is logged', async (_how, shouldSkip) => {
    const app = await start(guardWith({ shouldSkip }));
    expect(await statuses(app, 3, '/')).toEqual([200, 200, 429]);
    expect(await statuses(app, 2, '/staged', { as: 'alice' })).toEqual([200, 429]);
    expect(app.logged).toEqual([
      expect.stringMatching(/shouldSkip\(\) failed, so the call is not skipped\. .*no tenants/),
    ]);
  });

  describe('on a route with other guards', () => {
    const guarded = {
      '/early': [auth, RateLimit({ name: 'early', rate: '2/min' })],
      '/late': [auth, RateLimit({ name: 'late', rate: '2/min', phase: 'after-guards' })],
      '/several': [
        auth,
        RateLimit({ name: 'address', rate: '9/min', key: 'ip' }),
        RateLimit({ name: 'user', rate: '2/min', key: 'user' }),
      ],
      '/strict-early': [strict, RateLimit({ rate: '2/min', phase: 'before-guards' })],
      '/strict-late': [strict, RateLimit({ rate: '2/min', phase: 'after-guards' })],
    };
    const paths = ['/early', '/late', '/several'];
    const begin = async (methods: Parameters<typeof guardWith>[0]) => {
      const app = await start(guardWith(methods), { routes: guarded });
      // The suite of warnings tests what is logged at start-up.
      app.logged.splice(0);
      return app;
    };

    const skips: [string, ShouldSkip][] = [
      ['a boolean', ({ user }) => user?.isStaff === true],
      ['a promise', async ({ user }) => user?.isStaff === true],
    ];
    test.each(skips)('shouldSkip() returns %s and sees the user', async (_what, shouldSkip) => {
      const app = await begin({ shouldSkip });
      for (const path of paths) {
        expect(await statuses(app, 12, path, { as: 'staff' })).toEqual(times(12, 200));
        const { headers } = await app.get(path, { as: 'staff' });
        expect([...headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
        expect(await statuses(app, 3, path, { as: 'alice' })).toEqual([200, 200, 429]);
      }
      expect(app.logged).toEqual([]);
    });

    test('shouldSkip() is called once for each request, after the other guards', async () => {
      const calls: unknown[] = [];
      const app = await begin({
        shouldSkip: ({ userId }) => {
          calls.push(userId);
          return false;
        },
      });
      for (const path of paths) {
        expect((await app.get(path, { as: 'alice' })).status).toBe(200);
        expect(calls.splice(0)).toEqual(['alice']);
      }
      expect(await statuses(app, 3, '/strict-early')).toEqual([403, 403, 429]);
      expect(await statuses(app, 3, '/strict-late')).toEqual([403, 403, 403]);
      expect(calls).toEqual([]);
    });

    test('identity() is called once for each limit, in the phase of the limit', async () => {
      const calls: unknown[] = [];
      const app = await begin({
        identity: (context, limit) => {
          calls.push([limit.name, context.userId]);
          return limit.identify(context);
        },
      });
      const callsOf = async (path: string) => {
        expect((await app.get(path, { as: 'alice' })).status).toBe(200);
        return calls.splice(0);
      };
      expect(await callsOf('/early')).toEqual([['early', null]]);
      expect(await callsOf('/late')).toEqual([['late', 'alice']]);
      expect(await callsOf('/several')).toEqual([
        ['address', null],
        ['user', 'alice'],
      ]);
      expect(app.logged).toEqual([]);
    });

    const byUser: [string, Identity][] = [
      ['a text', ({ user }, { name }) => `${name}:${user?.id ?? 'nobody'}`],
      ['a promise', async ({ user }, { name }) => `${name}:${user?.id ?? 'nobody'}`],
    ];
    test.each(byUser)(
      'identity() returns %s and sees the user only after the guards',
      async (_what, identity) => {
        const app = await begin({ identity });
        for (const path of ['/late', '/several']) {
          expect(await statuses(app, 2, path, { as: 'alice' })).toEqual([200, 200]);
          expect((await app.get(path, { as: 'alice', from: '203.0.113.7' })).status).toBe(429);
          expect(await statuses(app, 3, path, { as: 'bob' })).toEqual([200, 200, 429]);
        }
        expect(await statuses(app, 2, '/early', { as: 'alice' })).toEqual([200, 200]);
        expect((await app.get('/early', { as: 'bob', from: '203.0.113.7' })).status).toBe(429);
        expect(app.logged).toEqual([]);
      },
    );

    test.each<[string, Identity]>([
      ['throws', failing],
      ['rejects', async () => failing()],
    ])(
      'after the guards, an identity() that %s is logged, and the address is charged',
      async (_how, identity) => {
        const app = await begin({ identity });
        expect(await statuses(app, 3, '/late', { as: 'alice' })).toEqual([200, 200, 429]);
        expect((await app.get('/late', { as: 'alice', from: '203.0.113.2' })).status).toBe(200);
        expect(app.logged).toEqual([
          expect.stringMatching(/^Shop\.late: The guard's identity\(\) failed, .*no tenants/),
        ]);
      },
    );

    test('identity() and shouldSkip() of one guard both see the user', async () => {
      const app = await begin({
        shouldSkip: ({ user }) => user?.isStaff === true,
        identity: ({ user }, limit) => `${limit.name}:${user?.id ?? 'nobody'}`,
      });
      expect(await statuses(app, 5, '/late', { as: 'staff' })).toEqual(times(5, 200));
      expect(await statuses(app, 3, '/late', { as: 'alice' })).toEqual([200, 200, 429]);
      expect((await app.get('/late', { as: 'bob' })).status).toBe(200);
      expect(await statuses(app, 3, '/late')).toEqual([200, 200, 429]);
    });
  });

  describe('an identity with special characters, or a long one', () => {
    const long = 'x'.repeat(100);

    test.each<[string, RegExp]>([
      ['acme', /^tenant:acme$/],
      ['acme+sons', /^tenant:acme%2Bsons$/],
      ['{acme}', /^tenant:%7Bacme%7D$/],
      ['acme and sons', /^tenant:acme%20and%20sons$/],
      ['~acme', /^tenant:%7Eacme$/],
      ['100%', /^tenant:100%25$/],
      ['acme:sons', /^tenant:acme:sons$/],
      [long, /^tenant:~[A-Za-z0-9_-]{22}$/],
      ['+'.repeat(100), /^tenant:~[A-Za-z0-9_-]{22}$/],
    ])('%s has the form that a key gives it, and RateLimiter finds it', async (name, written) => {
      const seen = new Set<string>();
      const app = await start(guardWith({ identity: byTenant }), {
        root: (store) =>
          RateLimitModule.forRoot({
            registerGuard: false,
            store: storeWith(store, {
              consume: (charges) => {
                for (const { identity } of charges) seen.add(identity);
                return store.consume(charges);
              },
            }),
          }),
      });
      const limiter = app.app.get(RateLimiter);
      expect(await statuses(app, 3, '/', tenant(name))).toEqual([200, 200, 429]);
      expect((await app.get('/', tenant(`${name}.`))).status).toBe(200);
      const [identity] = seen;
      expect(identity).toMatch(written);
      for (const known of [`tenant:${name}`, [`tenant:${name}`], identity as string]) {
        await limiter.reset({ identity: known });
        expect(await statuses(app, 3, '/', tenant(name))).toEqual([200, 200, 429]);
      }
      await limiter.block({ identity: `tenant:${name}`, for: '15min' });
      await limiter.reset({ identity: 'tenant:another' });
      expect((await app.get('/', tenant(name))).headers.get('retry-after')).toBe('900');
      await limiter.unblock({ identity: identity as string });
      await limiter.reset({ identity: `tenant:${name}` });
      expect((await app.get('/', tenant(name))).status).toBe(200);
    });

    test('an identity that a key returned stays as it is', async () => {
      const app = await start(guardWith({ identity: (context, limit) => limit.identify(context) }), {
        routes: { '/': RateLimit({ rate: '2/min', key: 'ip+user' }) },
        middleware: true,
      });
      for (const [as, id] of [
        ['tagged', 'bob+tag@example.org'],
        ['encoded', 'bob%2Btag@example.org'],
        ['long', 'x'.repeat(65)],
      ] as const) {
        expect(await statuses(app, 3, '/', { as, from: '203.0.113.7' })).toEqual([200, 200, 429]);
        await app.app.get(RateLimiter).reset({ identity: ['ip:203.0.113.7', `user:${id}`] });
        expect((await app.get('/', { as, from: '203.0.113.7' })).status).toBe(200);
      }
    });
  });

  test('decides for a class that names it in @UseGuards', async () => {
    const app = await open({
      decorators: [UseGuards(guardWith({ identity: byTenant }))],
      routes: { '/': RateLimit('1/min') },
    });
    expect(await statuses(app, 2, '/', tenant('a'))).toEqual([200, 429]);
    expect((await app.get('/', tenant('b'))).status).toBe(200);
    expect(app.logged).toEqual([]);
  });

  test('decides if a factory creates it', async () => {
    const shouldSkip: ShouldSkip = (context) => context.header('x-tenant') === 'internal';
    const useFactory = (ref: ModuleRef) => ref.create(guardWith({ identity: byTenant, shouldSkip }));
    const app = await open({ providers: [{ provide: APP_GUARD, useFactory, inject: [ModuleRef] }] });
    expect(await statuses(app, 3, '/', tenant('a'))).toEqual([200, 200, 429]);
    expect((await app.get('/', tenant('b'))).status).toBe(200);
    expect(await statuses(app, 3, '/', tenant('internal'))).toEqual(times(3, 200));
  });

  describe('whose identity() runs before another guard, on limits without a phase', () => {
    const identity: Identity = (context, limit) => limit.identify(context);

    test('is named in one warning', async () => {
      const routes = { '/a': RateLimit('5/min'), '/b': RateLimit('5/min') };
      const { logged } = await start(guardWith({ identity }), { decorators: [auth], routes });
      expect(logged).toEqual([
        expect.stringMatching(
          /^Shop\.a and 1 other: .*a guard of the application overrides identity\(\).*phase: 'after-guards'/,
        ),
      ]);
    });

    test('is not named if the limits state a phase, or no other guard runs', async () => {
      const routes = {
        '/a': [auth, RateLimit({ rate: '5/min', phase: 'before-guards' })],
        '/b': [auth, RateLimit({ rate: '5/min', phase: 'after-guards' })],
        '/c': RateLimit('5/min'),
      };
      const { logged } = await start(guardWith({ identity }), { routes });
      expect(logged).not.toContainEqual(expect.stringContaining('overrides identity()'));
    });
  });
});
