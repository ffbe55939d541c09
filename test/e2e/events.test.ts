import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Injectable, Logger, Module, Scope } from '@nestjs/common';
import {
  OnRateLimit,
  type RateLimitEventName,
  RateLimitEvents,
  type RateLimitModuleOptions,
  type RequestEvent,
} from 'nestjs-ratelimit';
import { starter, statuses, type TestApp, throwing, times } from '../support/app.js';
import { downStore } from '../support/stores.js';
import { Shop } from '../support/watched-shop.js';

const NAMES: readonly RateLimitEventName[] = ['allowed', 'denied', 'shadow-denied', 'blocked', 'degraded'];

const fail = (): never => {
  throw new Error('the disk is full');
};

/** Records the events of an application: name, route, limits and wait. */
function hear({ app }: TestApp) {
  const heard: unknown[][] = [];
  const events = app.get(RateLimitEvents);
  for (const name of NAMES) {
    events.on(name, (event) => {
      const { route, transport, limits, identityKind, waitMs } = event as RequestEvent;
      expect(transport).toBe('http');
      heard.push([name, route, limits.join(), identityKind, waitMs]);
    });
  }
  return heard;
}

describe('events', () => {
  const open = starter('express', { controllers: [Shop], middleware: false });

  test('are emitted once for each request of a limited route', async () => {
    const app = await open();
    const heard = hear(app);
    expect(await statuses(app, 3, '/two')).toEqual([200, 200, 429]);
    await app.get('/free');
    await app.get('/nowhere');
    expect(heard).toEqual([
      ['allowed', 'Shop.two', 'two', 'ip', 0],
      ['allowed', 'Shop.two', 'two', 'ip', 0],
      ['denied', 'Shop.two', 'two', 'ip', 60_000],
    ]);
  });

  test('blocked is emitted at the start of a block, shadow-denied beside allowed, and waitMs is null if waiting never helps', async () => {
    const app = await open();
    const heard = hear(app);
    expect(await statuses(app, 3, '/blocked')).toEqual([200, 429, 429]);
    expect(heard.splice(0).map(([name, , , , waitMs]) => [name, waitMs])).toEqual([
      ['allowed', 0],
      ['denied', 900_000],
      ['blocked', 900_000],
      ['denied', 900_000],
    ]);
    expect(await statuses(app, 2, '/shadow')).toEqual([200, 200]);
    expect(heard.splice(0)).toEqual([
      ['allowed', 'Shop.shadow', 'dry', null, 0],
      ['allowed', 'Shop.shadow', 'dry', null, 0],
      ['shadow-denied', 'Shop.shadow', 'dry', null, 0],
    ]);
    expect((await app.get('/never')).status).toBe(429);
    expect(heard).toEqual([['denied', 'Shop.never', 'never', 'ip', null]]);
  });

  test('are emitted once for a request with two phases, with the decisions of both', async () => {
    const app = await open();
    const heard = hear(app);
    expect(await statuses(app, 2, '/mine', { as: 'alice' })).toEqual([200, 429]);
    expect((await app.get('/mine')).status).toBe(200);
    expect(heard).toEqual([
      ['allowed', 'Shop.mine', 'address,user', 'user', 0],
      ['denied', 'Shop.mine', 'user', 'user', 60_000],
      ['allowed', 'Shop.mine', 'address', 'ip', 0],
    ]);
  });

  test('degraded is emitted for each request that an outage affects', async () => {
    const app = await open({ options: { store: downStore() } });
    const heard = hear(app);
    await app.get('/two');
    await app.get('/closed');
    expect(heard).toEqual([
      ['allowed', 'Shop.two', 'two', 'ip', 0],
      ['degraded', 'Shop.two', 'two', 'ip', 0],
      ['degraded', 'Shop.closed', 'closed', null, expect.any(Number)],
    ]);
  });

  test('a handler that throws or rejects is logged, and affects neither the request nor other handlers', async () => {
    const app = await open();
    const events = app.app.get(RateLimitEvents);
    const heard: string[] = [];
    events.on('allowed', throwing(new Error('at once')));
    events.on('allowed', () => Promise.reject(new Error('later')));
    events.on('allowed', ({ route }) => heard.push(route));
    expect(await statuses(app, 2, '/two')).toEqual([200, 200]);
    expect(heard).toEqual(['Shop.two', 'Shop.two']);
    expect(app.logged).toEqual([
      expect.stringContaining('events: A handler of allowed failed. Cause: "at once"'),
    ]);
  });

  test('are published on diagnostics channels', async () => {
    const app = await open();
    const heard: unknown[] = [];
    const hearIt = (event: unknown) => heard.push((event as RequestEvent).route);
    subscribe('nestjs-ratelimit:denied', hearIt);
    await statuses(app, 3, '/two');
    unsubscribe('nestjs-ratelimit:denied', hearIt);
    await app.get('/two');
    expect(heard).toEqual(['Shop.two']);
  });

  test('can be read in order from a stream until it is aborted', async () => {
    const app = await open();
    const ended = new AbortController();
    const waits: (number | null)[] = [];
    const reading = (async () => {
      for await (const { waitMs } of app.app
        .get(RateLimitEvents)
        .stream('denied', { signal: ended.signal })) {
        waits.push(waitMs);
        if (waits.length === 2) ended.abort();
      }
    })();
    await statuses(app, 5, '/two');
    await reading;
    expect(waits).toEqual([60_000, 60_000]);
  });

  test('reach methods with @OnRateLimit', async () => {
    const heard: string[] = [];
    @Injectable()
    class Audit {
      readonly mark = 'audit';
      @OnRateLimit('denied', 'blocked')
      hear({ route, limits }: RequestEvent) {
        heard.push(`${this.mark} ${route} ${limits.join()}`);
      }
    }
    @Module({ providers: [Audit, { provide: 'other', useExisting: Audit }] })
    class AuditModule {}
    const app = await open({ imports: [AuditModule] });
    await statuses(app, 2, '/blocked');
    expect(heard).toEqual(['audit Shop.blocked blocks', 'audit Shop.blocked blocks']);
  });

  test('unknown names and request-scoped listeners are errors at start-up', async () => {
    @Injectable()
    class Misspelt {
      @OnRateLimit('deny' as never) hear() {}
    }
    @Injectable({ scope: Scope.REQUEST })
    class Fleeting {
      @OnRateLimit('denied') hear() {}
    }
    for (const [provider, said] of [
      [Misspelt, 'Misspelt.hear listens to "deny", which is not an event.'],
      [Fleeting, 'Fleeting listens to events, but it is instantiated for each request.'],
    ] as const) {
      @Module({ providers: [provider] })
      class Holder {}
      await expect(open({ imports: [Holder] })).rejects.toThrow(said);
    }
  });
});

describe('the denial log', () => {
  const open = starter('express', { controllers: [Shop] });
  const start = (options: RateLimitModuleOptions = {}) => open({ options });

  test('has one line per minute for each client and limit', async () => {
    const app = await start();
    for (const from of ['203.0.113.7', '203.0.113.8']) {
      expect(await statuses(app, 5, '/two', { from })).toEqual([200, 200, ...times(3, 429)]);
    }
    const line = {
      message: 'Rate limit exceeded',
      limit: 'two',
      rate: '2 in 1 minute',
      waitSeconds: 60,
      route: 'Shop.two',
    };
    expect(app.denials).toEqual([
      { ...line, client: 'ip:203.0.113.7' },
      { ...line, client: 'ip:203.0.113.8' },
    ]);
  });

  test.each([
    ['hashed', expect.stringMatching(/^ip:[\w-]{22}$/)],
    ['none', undefined],
  ] as const)('names clients in the form that logIdentities sets: %s', async (logIdentities, client) => {
    const app = await start({ logIdentities });
    await statuses(app, 3, '/two');
    await statuses(app, 2, '/shadow');
    expect(app.denials).toHaveLength(2);
    for (const line of app.denials) expect((line as { client?: string }).client).toEqual(client);
  });

  test('that fails, because the logger of the application throws, leaves a denial a denial', async () => {
    const app = await start();
    Logger.overrideLogger({
      log: fail,
      warn: fail,
      error: fail,
    });
    expect(await statuses(app, 4, '/two')).toEqual([200, 200, 429, 429]);
    await app.close();
  });

  test('is silent if it is disabled', async () => {
    const app = await start({ logDenials: false });
    await statuses(app, 3, '/two');
    expect(app.denials).toEqual([]);
  });
});
