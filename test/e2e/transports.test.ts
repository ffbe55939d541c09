import 'reflect-metadata';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  UseGuards,
} from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { Field, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { MessagePattern } from '@nestjs/microservices';
import { IoAdapter } from '@nestjs/platform-socket.io';
import {
  MemoryStore,
  RateLimit,
  type RateLimitException,
  RateLimitGuard,
  RateLimitModule,
  type RateLimitModuleOptions,
} from 'nestjs-ratelimit';
import { io } from 'socket.io-client';
import {
  type AppOptions,
  AuthGuard,
  type Call,
  type Platform,
  platforms,
  serve,
  starter,
  statuses,
  type TestApp,
} from '../support/app.js';
import { downStore } from '../support/stores.js';
import { gateway, graphqlModule, openSocket, overTcp, overWs, startTcp } from '../support/transports.js';

@ObjectType()
class Item {
  @Field(() => String) name!: string;
}

@Injectable()
class GraphqlAuthGuard extends AuthGuard {
  override canActivate(context: Parameters<AuthGuard['canActivate']>[0]): boolean {
    const { req } = context.getArgByIndex(2);
    return super.canActivate({ switchToHttp: () => ({ getRequest: () => req }) } as typeof context);
  }
}

@Resolver(() => Item)
@RateLimit({ name: 'class', rate: '6/min' })
class ItemResolver {
  @Query(() => String) @RateLimit({ name: 'hello', rate: '3/min' }) hello(): string {
    return 'hello';
  }
  @Query(() => [Item]) items(): Item[] {
    return [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
  }
  @ResolveField(() => String) name(@Parent() item: Item): string {
    return item.name;
  }
  @Query(() => String)
  @UseGuards(GraphqlAuthGuard)
  @RateLimit({ name: 'mine', rate: '2/min', key: 'user' })
  mine(): string {
    return 'mine';
  }
}

/** Starts applications with a schema; `query` sends one to the last of them. */
function graphql(platform: Platform) {
  const open = starter(platform, {
    imports: [graphqlModule({ fieldResolverEnhancers: ['guards'] })],
    providers: [ItemResolver],
    middleware: false,
  });
  let app: TestApp;
  const start = async (options: RateLimitModuleOptions = {}) => {
    app = await open({ options });
  };
  const query = async (text: string, call: Call = {}) =>
    (await app.get('/graphql', { method: 'POST', body: { query: text }, ...call })).json;
  return { start, query };
}

describe.each(platforms)('GraphQL on %s', (platform) => {
  const { start, query } = graphql(platform);

  test('A23b two aliased fields of one query are charged twice', async () => {
    await start();
    expect(await query('{ a: hello b: hello }')).toEqual({ data: { a: 'hello', b: 'hello' } });
    const { data, errors } = await query('{ c: hello d: hello }');
    expect(data).toBeNull();
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({
      message: 'Too many requests. Try again in 1 minute.',
      path: ['d'],
      extensions: {
        code: 'RATE_LIMITED',
        error: 'rate_limit_exceeded',
        details: { throttle_type: 'hello', retry_after_seconds: 60 },
      },
    });
    expect((await query('{ hello }', { from: '203.0.113.7' })).data).toEqual({ hello: 'hello' });
  });

  test('a user limit is decided after the guard of the field has set the user', async () => {
    await start();
    for (const passes of [true, true, false]) {
      expect((await query('{ mine }', { as: 'alice' })).errors === undefined).toBe(passes);
    }
    expect((await query('{ mine }', { as: 'bob' })).data).toEqual({ mine: 'mine' });
  });
});

describe('GraphQL', () => {
  const { start, query } = graphql('express');

  test('fields of a type are not charged, only their query', async () => {
    await start();
    for (let i = 0; i < 6; i++) expect((await query('{ items { name } }')).data.items).toHaveLength(3);
    expect((await query('{ items { name } }')).errors[0].extensions.details.throttle_type).toBe('class');
  });

  test('a failing store has its own error code', async () => {
    await start({ store: downStore(), failMode: 'closed' });
    const { data, errors } = await query('{ hello }');
    expect(data).toBeNull();
    expect(errors[0]).toMatchObject({
      message: expect.stringContaining('could not be checked'),
      extensions: { code: 'RATE_LIMIT_UNAVAILABLE', error: 'rate_limit_unavailable' },
    });
  });

  test('a body of text keeps the error code', async () => {
    await start({ body: ({ decidedBy }) => `slow down: ${decidedBy?.name}` });
    await query('{ a: hello b: hello c: hello }');
    expect((await query('{ hello }')).errors[0]).toMatchObject({
      message: 'slow down: hello',
      extensions: { code: 'RATE_LIMITED' },
    });
  });
});

describe('WebSockets', () => {
  const start = starter('express');
  const twice = RateLimit({ name: 'say', rate: '2/min' });
  const unregistered = (store: MemoryStore) => RateLimitModule.forRoot({ store, registerGuard: false });

  test.each<[string, AppOptions]>([
    ['by the registered guard', { providers: [gateway(twice)] }],
    ['by @UseGuards', { providers: [gateway(twice, RateLimitGuard)], root: unregistered }],
    ['once by both', { providers: [gateway(twice, RateLimitGuard)] }],
  ])(
    'A23b each message of one socket is charged %s, and a denial is an exception event (ws)',
    async (_by, options) => {
      const app = await start({ ...options, prepare: overWs });
      const socket = await openSocket(app);
      expect(await socket.say('one')).toEqual({ event: 'said', data: 'one' });
      expect(await socket.say('two')).toEqual({ event: 'said', data: 'two' });
      expect(await socket.say('three')).toMatchObject({
        event: 'exception',
        data: {
          status: 'error',
          error: 'rate_limit_exceeded',
          details: { throttle_type: 'say', retry_after_seconds: 60 },
        },
      });
      app.clock.advance('1min');
      expect((await socket.say('four')).event).toBe('said');
      socket.close();
    },
  );

  test('a gateway without a guard is not limited, and this is logged', async () => {
    const app = await start({ providers: [gateway(twice)], root: unregistered, prepare: overWs });
    const socket = await openSocket(app);
    for (let i = 0; i < 5; i++) expect((await socket.say('on')).event).toBe('said');
    expect(app.logged).toEqual([
      expect.stringContaining('Gateway.say has limits, but no guard decides them'),
    ]);
    socket.close();
  });

  test('a user limit is decided after the guard of the gateway has set the user', async () => {
    class SocketAuth implements CanActivate {
      canActivate(context: ExecutionContext) {
        const name = context.switchToWs().getData<string>();
        context.switchToWs().getClient().user = name === 'nobody' ? undefined : { id: name };
        return true;
      }
    }
    const users = gateway(RateLimit({ name: 'user', rate: '1/min', key: 'user' }), SocketAuth);
    const app = await start({ providers: [users], prepare: overWs });
    const socket = await openSocket(app);
    const events = [];
    for (const name of ['alice', 'bob', 'alice', 'nobody', 'nobody'])
      events.push((await socket.say(name)).event);
    expect(events).toEqual(['said', 'said', 'exception', 'said', 'said']);
    socket.close();
  });

  test('a closed application does not affect the next one with the same gateway', async () => {
    const type = gateway(twice);
    const eventsOf = async (app: TestApp) => {
      const socket = await openSocket(app);
      const events: string[] = [];
      for (let i = 0; i < 3; i++) events.push((await socket.say('on')).event);
      socket.close();
      return events;
    };
    const first = await serve('express', { providers: [type], prepare: overWs });
    await first.close();
    const open = await start({ providers: [type], root: unregistered, prepare: overWs });
    expect(await eventsOf(open)).toEqual(['said', 'said', 'said']);
    const limited = await start({ providers: [type], prepare: overWs });
    expect(await eventsOf(limited)).toEqual(['said', 'said', 'exception']);
    expect([first.store.size, open.store.size, limited.store.size]).toEqual([0, 0, 1]);
  });

  test('A23b the same over Socket.IO', async () => {
    const app = await serve('fastify', {
      providers: [gateway(twice)],
      prepare: (nest) => void nest.useWebSocketAdapter(new IoAdapter(nest)),
    });
    const socket = io(app.url, { transports: ['websocket'] });
    await new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
    const say = async (data: string) => {
      const reply = new Promise<unknown>((resolve) => {
        socket.onAny((event, answer) => resolve({ event, answer }));
      });
      socket.emit('say', data);
      return reply.finally(() => socket.offAny());
    };
    expect(await say('one')).toEqual({ event: 'said', answer: 'one' });
    await say('two');
    expect(await say('three')).toMatchObject({
      event: 'exception',
      answer: { error: 'rate_limit_exceeded', status: 'error' },
    });
    socket.close();
    await app.close();
  });
});

describe('microservices', () => {
  const start = starter('express');
  const sums = (...guards: (new () => CanActivate)[]) => {
    @Controller()
    @UseGuards(...guards)
    class Sums {
      @MessagePattern('sum') @RateLimit({ name: 'sum', rate: '2/min' }) sum(numbers: number[]): number {
        return numbers.reduce((a, b) => a + b, 0);
      }
      @Get('sum') @RateLimit({ name: 'get', rate: '2/min' }) get() {
        return 6;
      }
    }
    return Sums;
  };
  /** A hybrid application that adds up numbers over TCP. */
  const startSums = async (options: AppOptions, inheritAppConfig: boolean) => {
    const app = await start({ ...options, prepare: overTcp(inheritAppConfig) });
    const { send, close } = await startTcp(app);
    return { app, sum: () => send<number>('sum', [1, 2, 3]), close };
  };

  describe.each([
    ['with', true],
    ['without', false],
  ])('of a hybrid application %s its configuration', (_with, inherits) => {
    test.each([
      ['', []],
      [' once, also with @UseGuards', [RateLimitGuard]],
    ])(
      'each message is charged to the address%s, and a denial is an error of the transport',
      async (_how, guards) => {
        const { app, sum, close } = await startSums({ controllers: [sums(...guards)] }, inherits);
        expect([await sum(), await sum()]).toEqual([6, 6]);
        await expect(sum()).rejects.toMatchObject({
          status: 'error',
          error: 'rate_limit_exceeded',
          code: 8,
          details: { throttle_type: 'sum' },
        });
        app.clock.advance('1min');
        expect(await sum()).toBe(6);
        await close();
      },
    );

    test('requests of the same class are charged once', async () => {
      const { app, close } = await startSums({ controllers: [sums()] }, inherits);
      expect(await statuses(app, 3, '/sum')).toEqual([200, 200, 429]);
      await close();
    });

    test('a failing store is an error of the transport', async () => {
      const options = { store: downStore(), failMode: 'closed' } as const;
      const { sum, close } = await startSums({ controllers: [sums()], options }, inherits);
      await expect(sum()).rejects.toMatchObject({
        status: 'error',
        error: 'rate_limit_unavailable',
        code: 14,
      });
      await close();
    });

    test('without a registered guard nothing is limited', async () => {
      const root = (store: MemoryStore) => RateLimitModule.forRoot({ store, registerGuard: false });
      const { sum, close } = await startSums({ controllers: [sums()], root }, inherits);
      for (let i = 0; i < 5; i++) expect(await sum()).toBe(6);
      await close();
    });
  });
});

describe('calls that the library does not know', () => {
  @Injectable()
  class Bot {
    @RateLimit('1/min') answer(): string {
      return 'beep';
    }
  }

  class Unknown {
    @RateLimit('1/fortnight' as '1/min') late(): string {
      return 'ok';
    }
    @RateLimit({ name: 'late', rate: '2/min' }) fine(): string {
      return 'ok';
    }
  }

  test('a call of an unknown context type passes without a charge', async () => {
    const app = await serve('express', { providers: [Bot] });
    const creator = app.app.get(ExternalContextCreator);
    const bot = app.app.get(Bot);
    const none = undefined;
    const answer = creator.create(bot, bot.answer, 'answer', none, none, none, none, none, 'telegram');
    for (let i = 0; i < 5; i++) expect(await answer({}, {}, {})).toBe('beep');
    expect(app.store.size).toBe(0);
    await app.close();
  });

  test('a route unknown at start-up is compiled at its first call: errors are logged once, and module limits apply', async () => {
    const app = await serve('express', { options: { limits: [{ name: 'burst', rate: '3/min' }] } });
    const creator = app.app.get(ExternalContextCreator);
    const unknown = new Unknown();
    const bare = { guards: true, interceptors: false, filters: false };
    const route = (name: 'late' | 'fine') =>
      creator.create(unknown, unknown[name], name, undefined, undefined, undefined, undefined, bare, 'http');
    const request = { headers: {}, ip: '203.0.113.7' };
    const response = { set: () => response };
    const call = async (name: 'late' | 'fine') =>
      route(name)(request, response, () => {}).then(
        () => 'passes',
        (error: RateLimitException) => error.outcome.decidedBy?.name,
      );
    for (const outcome of ['passes', 'passes', 'passes', 'burst']) expect(await call('late')).toBe(outcome);
    expect(app.logged).toEqual([
      expect.stringContaining(
        '[bad-rate] Unknown.late: "1/fortnight" is not a rate: "fortnight" is not one of the units',
      ),
    ]);
    app.store.clear();
    for (const outcome of ['passes', 'passes', 'late']) expect(await call('fine')).toBe(outcome);
    await app.close();
  });
});
