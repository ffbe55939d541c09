import 'reflect-metadata';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Controller, Injectable, UseGuards } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { Field, GraphQLModule, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import {
  ClientProxyFactory,
  MessagePattern,
  type MicroserviceOptions,
  Transport,
} from '@nestjs/microservices';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  RateLimit,
  type RateLimitException,
  RateLimitGuard,
  type RateLimitModuleOptions,
} from 'nestjs-ratelimit';
import { firstValueFrom } from 'rxjs';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { AuthGuard, platforms, serve, type TestApp } from '../support/app.js';

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

describe.each(platforms)('GraphQL on %s', (platform) => {
  let app: TestApp;
  const start = async (options: RateLimitModuleOptions = {}) => {
    app = await serve(platform, {
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          autoSchemaFile: true,
          fieldResolverEnhancers: ['guards'],
          introspection: true,
        }),
      ],
      providers: [ItemResolver],
      middleware: false,
      options,
    });
  };
  afterEach(() => app.close());
  const query = async (text: string, as?: string, from?: string) =>
    (
      await app.get('/graphql', {
        method: 'POST',
        body: { query: text },
        ...(as && { as }),
        ...(from && { from }),
      })
    ).json;

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
        error: 'rate_limit_exceeded',
        details: { throttle_type: 'hello', retry_after_seconds: 60 },
      },
    });
    expect((await query('{ hello }', undefined, '203.0.113.7')).data).toEqual({ hello: 'hello' });
  });

  test('fields of a type are not charged: their query was', async () => {
    await start();
    for (let i = 0; i < 6; i++) expect((await query('{ items { name } }')).data.items).toHaveLength(3);
    expect((await query('{ items { name } }')).errors[0].extensions.details.throttle_type).toBe('class');
  });

  test('a user limit is decided once a guard of the field knows the user', async () => {
    await start();
    for (const passes of [true, true, false]) {
      expect((await query('{ mine }', 'alice')).errors === undefined).toBe(passes);
    }
    expect((await query('{ mine }', 'bob')).data).toEqual({ mine: 'mine' });
  });
});

@WebSocketGateway()
@UseGuards(RateLimitGuard)
class Gateway {
  @SubscribeMessage('say') @RateLimit({ name: 'say', rate: '2/min' }) say(@MessageBody() text: string) {
    return { event: 'said', data: text };
  }
}

describe('WebSockets', () => {
  test('A23b each message of one socket is charged, and a denial is an exception event (ws)', async () => {
    const app = await serve('express', {
      providers: [Gateway],
      prepare: (nest) => void nest.useWebSocketAdapter(new WsAdapter(nest)),
    });
    const socket = new WebSocket(app.url.replace('http', 'ws'));
    await new Promise((resolve) => socket.once('open', resolve));
    const say = (data: string) =>
      new Promise<{ event: string; data: unknown }>((resolve) => {
        socket.once('message', (message) => resolve(JSON.parse(String(message))));
        socket.send(JSON.stringify({ event: 'say', data }));
      });
    expect(await say('one')).toEqual({ event: 'said', data: 'one' });
    expect(await say('two')).toEqual({ event: 'said', data: 'two' });
    expect(await say('three')).toMatchObject({
      event: 'exception',
      data: {
        status: 'error',
        error: 'rate_limit_exceeded',
        details: { throttle_type: 'say', retry_after_seconds: 60 },
      },
    });
    app.clock.advance('1min');
    expect((await say('four')).event).toBe('said');
    socket.close();
    await app.close();
  });

  test('A23b the same over Socket.IO', async () => {
    const app = await serve('fastify', {
      providers: [Gateway],
      prepare: (nest) => void nest.useWebSocketAdapter(new IoAdapter(nest)),
    });
    const socket = io(app.url, { transports: ['websocket'] });
    await new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
    const say = (data: string) =>
      new Promise<unknown>((resolve) => {
        for (const event of ['said', 'exception']) socket.once(event, (answer) => resolve({ event, answer }));
        socket.emit('say', data);
      });
    expect(await say('one')).toEqual({ event: 'said', answer: 'one' });
    socket.removeAllListeners();
    await say('two');
    socket.removeAllListeners();
    expect(await say('three')).toMatchObject({
      event: 'exception',
      answer: { error: 'rate_limit_exceeded', status: 'error' },
    });
    socket.close();
    await app.close();
  });
});

@Controller()
class Sums {
  @MessagePattern('sum') @RateLimit({ name: 'sum', rate: '2/min' }) sum(numbers: number[]): number {
    return numbers.reduce((a, b) => a + b, 0);
  }
}

describe('microservices', () => {
  test('each message is charged to the address, and a denial is an error of the transport', async () => {
    const app = await serve('express', {
      controllers: [Sums],
      prepare: (nest) =>
        void nest.connectMicroservice<MicroserviceOptions>(
          { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
          { inheritAppConfig: true },
        ),
    });
    const [service] = await app.app.startAllMicroservices().then(() => app.app.getMicroservices());
    const server = service?.unwrap<{ address(): { port: number } }>();
    const client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: server?.address().port ?? 0 },
    });
    const sum = () => firstValueFrom(client.send<number>('sum', [1, 2, 3]));
    expect([await sum(), await sum()]).toEqual([6, 6]);
    await expect(sum()).rejects.toMatchObject({
      status: 'error',
      error: 'rate_limit_exceeded',
      code: 8,
      details: { throttle_type: 'sum' },
    });
    await client.close();
    await app.close();
  });
});

describe('calls that the library was not told of', () => {
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

  test('a context type that it does not know passes uncharged', async () => {
    const app = await serve('express', { providers: [Bot] });
    const creator = app.app.get(ExternalContextCreator);
    const bot = app.app.get(Bot);
    const answer = creator.create(
      bot,
      bot.answer,
      'answer',
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      'telegram',
    );
    for (let i = 0; i < 5; i++) expect(await answer({}, {}, {})).toBe('beep');
    expect(app.store.size).toBe(0);
    await app.close();
  });

  test('a route unknown at start-up is compiled at its first call; its mistake is logged once, and the module limits apply', async () => {
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
        (error: RateLimitException) => error.outcome.binding?.name,
      );
    expect([await call('late'), await call('late'), await call('late'), await call('late')]).toEqual([
      'passes',
      'passes',
      'passes',
      'burst',
    ]);
    expect(app.logged).toEqual([
      expect.stringContaining(
        '[bad-rate] Unknown.late: "1/fortnight" is not a rate: there is no unit "fortnight"',
      ),
    ]);
    app.store.clear();
    expect([await call('fine'), await call('fine'), await call('fine')]).toEqual([
      'passes',
      'passes',
      'late',
    ]);
    await app.close();
  });
});
