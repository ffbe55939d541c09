import 'reflect-metadata';
import { once } from 'node:events';
import { connect as connect2, constants, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type ArgumentsHost,
  Body,
  type CallHandler,
  Catch,
  ConflictException,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  HttpCode,
  type NestInterceptor,
  Post,
  Res,
  StreamableFile,
  UnauthorizedException,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Args, Query, Resolver } from '@nestjs/graphql';
import { MessagePattern, RpcException } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { MessageBody, SubscribeMessage, WebSocketGateway, WsException } from '@nestjs/websockets';
import {
  type CallResult,
  MemoryStore,
  RateLimit,
  type RateLimitContext,
  type RateLimitOptions,
  type Store,
} from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { TestClock } from 'nestjs-ratelimit/testing';
import { catchError, concat, delayWhen, lastValueFrom, map, NEVER, of, retry, throwError } from 'rxjs';
import {
  type AppOptions,
  AuthGuard,
  platforms,
  routes,
  starter,
  statuses,
  type TestApp,
  throwing,
  times,
  withResolvers,
} from '../support/app.js';
import { startRedis } from '../support/redis.js';
import { laterStore, storeWith } from '../support/stores.js';
import { graphqlModule, openSocket, overTcp, overWs, startTcp } from '../support/transports.js';

const failed: RateLimitOptions['countWhen'] = (_context, { status }) => status === 401;

/** A countWhen that records its results, and counts only what `counts` says. */
function asking(counts: (result: CallResult) => unknown = () => false) {
  const asked: CallResult[] = [];
  const countWhen = (_context: RateLimitContext, result: CallResult): boolean => {
    asked.push(result);
    return counts(result) as boolean;
  };
  return { asked, countWhen };
}

/** A store that records the names of the limits whose charges are refunded. */
function recordingStore(refund?: Store['refund']) {
  const refunded: string[] = [];
  const clock = new TestClock(Date.now());
  const inner = new MemoryStore({ clock });
  const store = storeWith(inner, {
    refund: (decisions) => {
      refunded.push(...decisions.map(({ name }) => name));
      return refund === undefined ? inner.refund(decisions) : refund(decisions);
    },
  });
  return { store, refunded, clock };
}

/** A promise that a test settles, and one that tells that somebody waits for it. */
function gate() {
  const { promise, resolve: open, reject: fail } = withResolvers<unknown>();
  const { promise: entered, resolve: enter } = withResolvers<void>();
  const wait = () => {
    enter();
    return promise;
  };
  return { open, fail, entered, wait };
}

/** Waits until everything that is due in this process has happened. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await nextTurn();
}

const post = (app: TestApp, path: string, body: object) => app.get(path, { method: 'POST', body });

const wrongPassword = { password: 'guess' };
const rightPassword = { password: 'right' };

function check({ password }: { readonly password?: string }): string {
  if (password !== 'right') throw new UnauthorizedException();
  return 'welcome';
}

class LockedOut extends Error {}

@Catch(LockedOut)
class LockedOutFilter implements ExceptionFilter {
  catch(_error: LockedOut, host: ArgumentsHost) {
    const response = host.switchToHttp().getResponse();
    response.status(401).send('locked out');
  }
}

const SERVED = { given: 'by the interceptor' };

class Replaces implements NestInterceptor {
  intercept(_execution: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map(() => SERVED));
  }
}

/** A login under a limit of 5. */
@Controller()
class Logins {
  @Post('login') @RateLimit({ name: 'login', rate: '5/min', countWhen: failed }) login(@Body() body: object) {
    return check(body);
  }
}

/** A route under a limit of 2, with a handler of the test. */
const route = (handler: () => unknown, countWhen: RateLimitOptions['countWhen'], more: object = {}) => {
  @Controller()
  class Route {
    @Get('do')
    @UseFilters(new LockedOutFilter())
    @RateLimit({ name: 'do', rate: '2/min', countWhen, ...more })
    do() {
      return handler();
    }
  }
  return Route;
};

/** A route whose charges are always refunded. */
const freeRoute = () =>
  route(
    () => 'ok',
    () => false,
  );

/** Routes behind a guard that rejects callers without a token. */
const strict = () => {
  const { asked, countWhen } = asking(({ status }) => status === 401);
  class Rejecting extends AuthGuard {
    override canActivate(execution: ExecutionContext): boolean {
      super.canActivate(execution);
      if (execution.switchToHttp().getRequest().user === undefined) throw new UnauthorizedException();
      return true;
    }
  }
  const Strict = routes(
    {
      '/address': RateLimit({ name: 'address', rate: '3/min', key: 'ip', countWhen }),
      '/both': [
        RateLimit({ name: 'address', rate: '3/min', key: 'ip', countWhen }),
        RateLimit({ name: 'user', rate: '2/min', key: 'user', countWhen }),
      ],
      '/late': [
        RateLimit({ name: 'address', rate: '9/min', key: 'ip', countWhen }),
        RateLimit({ name: 'user', rate: '2/min', key: 'user' }),
      ],
    },
    { decorators: [UseGuards(new Rejecting())] },
  );
  return { Strict, asked };
};

/** Logs in with right and wrong passwords until the limit of failures denies. */
async function failuresCount(app: TestApp, clock: TestClock): Promise<void> {
  const login = (body: object, count: number) => statuses(app, count, '/login', { method: 'POST', body });
  expect(await login(rightPassword, 12)).toEqual(times(12, 201));
  expect(await login(wrongPassword, 4)).toEqual(times(4, 401));
  expect(await login(rightPassword, 7)).toEqual(times(7, 201));
  expect(await login(wrongPassword, 1)).toEqual([401]);
  expect(await login(wrongPassword, 3)).toEqual(times(3, 429));
  expect(await login(rightPassword, 1)).toEqual([429]);
  clock.advance('1min');
  expect(await login(rightPassword, 1)).toEqual([201]);
  expect(app.logged).toEqual([]);
}

describe.each(platforms)('countWhen on %s', (platform) => {
  const start = starter(platform, { middleware: false });

  test('only failed logins count', async () => {
    const app = await start({ controllers: [Logins] });
    await failuresCount(app, app.clock);
  });

  describe('it receives the result of the call', () => {
    const taken = new ConflictException('taken');
    const unauthorized = new UnauthorizedException();
    const lockedOut = new LockedOut('locked out');
    test.each<[string, () => unknown, CallResult]>([
      ['the value', () => ({ a: 1 }), { status: 200, value: { a: 1 } }],
      ['the value of a promise', async () => 'later', { status: 200, value: 'later' }],
      ['no value', () => undefined, { status: 200, value: undefined }],
      ['the last value of an Observable', () => of('first', 'last'), { status: 200, value: 'last' }],
      ['an HTTP exception', throwing(taken), { status: 409, error: taken }],
      ['a rejection', () => Promise.reject(unauthorized), { status: 401, error: unauthorized }],
      ['the error of an Observable', () => throwError(() => taken), { status: 409, error: taken }],
      ['an error that a filter handles', throwing(lockedOut), { status: 401, error: lockedOut }],
    ])('%s', async (_what, handler, result) => {
      const { asked, countWhen } = asking();
      const app = await start({ controllers: [route(handler, countWhen)] });
      const { status } = await app.get('/do');
      expect(status).toBe(result.status);
      expect(asked).toEqual([result]);
      expect('error' in (asked[0] as object)).toBe('error' in result);
      expect(await statuses(app, 4, '/do')).toEqual(times(4, status));
      expect(asked).toHaveLength(5);
    });

    test('the value that the handler returned, before interceptors change it', async () => {
      const { asked, countWhen } = asking();

      const app = await start({
        routes: {
          '/do': [RateLimit({ name: 'do', rate: '2/min', countWhen }), UseInterceptors(Replaces)],
          '/above': [UseInterceptors(Replaces), RateLimit({ name: 'above', rate: '2/min', countWhen })],
        },
        decorators: [UseInterceptors(Replaces)],
        prepare: (nest) => void nest.useGlobalInterceptors(new Replaces()),
      });
      for (const path of ['/do', '/above']) expect((await app.get(path)).json).toEqual(SERVED);
      expect(asked).toEqual(times(2, 0).map(() => ({ status: 200, value: 'ok' })));
    });

    test('HEAD, streams, empty responses, and handlers that send the response themselves', async () => {
      const { asked, countWhen } = asking();
      @Controller()
      @RateLimit({ name: 'class', rate: '1/min', countWhen })
      class Ways {
        @Get('stream') stream() {
          return new StreamableFile(Readable.from(['a', 'b']));
        }
        @Get('empty') @HttpCode(204) empty() {}
        @Get('self') self(@Res() response: { status(code: number): { send(text: string): void } }) {
          setImmediate(() => response.status(418).send('teapot'));
        }
      }
      const app = await start({ controllers: [Ways] });
      expect((await app.get('/stream')).text).toBe('ab');
      expect((await app.get('/stream', { method: 'HEAD' })).status).toBe(200);
      expect((await app.get('/empty')).status).toBe(204);
      expect((await app.get('/self')).text).toBe('teapot');
      expect(asked).toMatchObject([
        { status: 200, value: expect.any(StreamableFile) },
        { status: 200, value: expect.any(StreamableFile) },
        { status: 204, value: undefined },
        { status: 418, value: undefined },
      ]);
      expect(asked).toHaveLength(4);
    });

    test('the user who is known at the end of the call', async () => {
      const users: unknown[] = [];
      const countWhen: RateLimitOptions['countWhen'] = ({ user, userId, request, transport }, { status }) => {
        users.push([user, userId, request.method, transport, status]);
        return false;
      };

      const app = await start({
        routes: { '/me': RateLimit({ name: 'me', rate: '2/min', key: 'ip', countWhen }) },
        decorators: [UseGuards(new AuthGuard())],
      });
      await app.get('/me', { as: 'alice' });
      await app.get('/me');
      expect(users).toEqual([
        [{ id: 'alice', tier: 'free' }, 'alice', 'GET', 'http', 200],
        [undefined, null, 'GET', 'http', 200],
      ]);
      // It runs at the end, so that nothing has to wait for the user, and nothing is said about it.
      expect(app.logged).toEqual([]);
    });
  });

  describe('when it is called', () => {
    test.each(['/address', '/both'])('a 401 of a later guard counts: %s', async (path) => {
      const { Strict, asked } = strict();
      const app = await start({ controllers: [Strict] });
      expect(await statuses(app, 6, path, { as: 'alice' })).toEqual(times(6, 200));
      const afterwards = asked.length;
      expect(afterwards).toBe(path === '/both' ? 12 : 6);
      expect(await statuses(app, 6, path)).toEqual([...times(3, 401), ...times(3, 429)]);
      expect(asked.slice(afterwards)).toEqual(times(3, 0).map(() => ({ status: 401 })));
      expect(await statuses(app, 1, path, { as: 'alice' })).toEqual([429]);
    });

    test.each([
      ['denies', '0/min', ['address']],
      ['passes', '9/min', ['address', 'user']],
    ] as const)('once, if the response is finished before the second phase %s', async (_how, rate, back) => {
      const { asked, countWhen } = asking();
      const { store: inner, refunded } = recordingStore();
      const waiting = gate();
      const store = {
        ...inner,
        consume: async (charges: Parameters<Store['consume']>[0]) => {
          if (charges.some(({ policy }) => policy.name === 'user')) await waiting.wait();
          return inner.consume(charges);
        },
      };

      const app = await start({
        routes: {
          '/do': [
            RateLimit({ name: 'address', rate: '9/min', key: 'ip', countWhen }),
            RateLimit({ name: 'user', rate, key: 'user', countWhen }),
          ],
        },
        decorators: [UseGuards(new AuthGuard())],
        options: { store },
        prepare: (nest) =>
          void nest.use(
            (_request: unknown, response: { statusCode: number; end(): void }, next: () => void) => {
              void waiting.entered.then(() => {
                response.statusCode = 504;
                response.end();
              });
              next();
            },
          ),
      });
      expect((await app.get('/do', { as: 'alice' })).status).toBe(504);
      waiting.open(undefined);
      await settle();
      expect(asked).toEqual(back.map(() => ({ status: 504 })));
      expect(refunded).toEqual(back);
    });
  });

  const protocols = platform === 'fastify' ? (['HTTP/1', 'HTTP/2'] as const) : (['HTTP/1'] as const);
  describe.each(protocols)('after the client has disconnected over %s', (protocol) => {
    type Held = ReturnType<typeof gate>;
    interface Answering {
      status(code: number): Answering;
      send(body?: string): void;
    }

    /** A route under a limit of 3 that counts failures, with a handler of the test. */
    async function startGuessing(guess: (response: Answering) => unknown, more: Partial<AppOptions> = {}) {
      const { asked, countWhen } = asking(({ status }) => status === 401);
      const { store, refunded } = recordingStore();
      @Controller()
      class Guesses {
        @Get('guess')
        @UseFilters(new LockedOutFilter())
        @RateLimit({ name: 'guess', rate: '3/min', countWhen })
        guess(@Res({ passthrough: true }) response: Answering) {
          return guess(response);
        }
        @Get('self')
        @RateLimit({ name: 'guess', rate: '3/min', countWhen })
        self(@Res() response: Answering) {
          return guess(response);
        }
      }
      const adapter = protocol === 'HTTP/2' ? { adapter: new FastifyAdapter({ http2: true }) } : {};
      const app = await start({ controllers: [Guesses], options: { store }, ...adapter, ...more });
      return { app, asked, refunded };
    }

    /** Waits for the moment at which the client of a test disconnects. */
    type Moment = (client: NodeJS.EventEmitter) => Promise<unknown>;
    const during =
      ({ entered }: Held): Moment =>
      () =>
        entered;

    async function hangUpSocket({ app, url }: TestApp, path: string, moment: Moment): Promise<void> {
      const connected = once(app.getHttpServer(), 'connection');
      const client = connect(Number(new URL(url).port), '127.0.0.1');
      client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      const [socket] = (await connected) as [Socket];
      await moment(client);
      const closed = once(socket, 'close');
      client.destroy();
      await closed;
    }

    /** The connection stays, as a browser's does when one of its requests is cancelled. */
    async function cancelStream({ app, url }: TestApp, path: string, moment: Moment): Promise<void> {
      const server: Http2Server = app.getHttpServer();
      const session = connect2(url);
      const asked = once(server, 'stream');
      const client = session.request({ ':path': path });
      const [stream] = (await asked) as [ServerHttp2Stream];
      await moment(client);
      const closed = once(stream, 'close');
      client.close(constants.NGHTTP2_CANCEL);
      await closed;
      session.destroy();
    }

    /** Has a client send a request and disconnect at a moment. */
    async function hangUp(app: TestApp, path: string, moment: Moment): Promise<void> {
      await (protocol === 'HTTP/1' ? hangUpSocket : cancelStream)(app, path, moment);
      await settle();
    }

    /** The status of a request whose client stays. */
    async function statusOf(app: TestApp, path: string): Promise<number> {
      if (protocol === 'HTTP/1') return (await app.get(path)).status;
      const session = connect2(app.url);
      const [headers] = await once(session.request({ ':path': path }).resume(), 'response');
      session.destroy();
      return headers[':status'];
    }

    const unauthorized = new UnauthorizedException();
    const lockedOut = new LockedOut('locked out');
    test.each<[string, (held: Held) => void, CallResult, string[]]>([
      ['a correct guess', ({ open }) => open('welcome'), { status: 200, value: 'welcome' }, ['guess']],
      ['nothing', ({ open }) => open(undefined), { status: 200, value: undefined }, ['guess']],
      ['an HTTP exception', ({ fail }) => fail(unauthorized), { status: 401, error: unauthorized }, []],
      [
        'an error that a filter handles',
        ({ fail }) => fail(lockedOut),
        { status: 401, error: lockedOut },
        [],
      ],
    ])('the charge stays until the handler settles, with %s', async (_what, end, result, back) => {
      const held = gate();
      const { app, asked, refunded } = await startGuessing(() => held.wait());
      await hangUp(app, '/guess', during(held));
      expect([asked, refunded]).toEqual([[], []]);
      end(held);
      await settle();
      expect(asked).toEqual([result]);
      expect(refunded).toEqual(back);
    });

    test('guesses by clients that disconnect are denied like others', async () => {
      let held = gate();
      const { app, asked } = await startGuessing(() => held.wait());
      for (let i = 0; i < 3; i++) {
        held = gate();
        await hangUp(app, '/guess', during(held));
        if (i > 0) held.fail(new UnauthorizedException());
      }
      await settle();
      // The first one has not settled yet, and counts all the same.
      expect(asked).toHaveLength(2);
      expect([await statusOf(app, '/guess'), await statusOf(app, '/guess')]).toEqual([429, 429]);
    });

    test.each<[string, (held: Held) => unknown]>([
      ['the handler never settles', (held) => held.wait()],
      [
        'Nest lets go of an Observable',
        (held) => {
          void held.wait();
          return concat(of('one'), NEVER);
        },
      ],
    ])('the charge stays if %s', async (_why, never) => {
      const first = gate();
      const held = gate();
      const guesses = [() => never(first), () => held.wait()];
      const { app, asked, refunded } = await startGuessing(() => guesses.shift()?.());
      await hangUp(app, '/guess', during(first));
      // When a later charge is refunded, the first would be too.
      await hangUp(app, '/guess', during(held));
      held.open('welcome');
      await settle();
      expect([asked, refunded]).toEqual([[{ status: 200, value: 'welcome' }], ['guess']]);
    });

    test('if no response has been sent yet, the status is that of the exception, or unknown', async () => {
      const later = gate();
      const late: NestInterceptor = {
        intercept: (_execution, next) =>
          next.handle().pipe(
            delayWhen(() => later.wait()),
            catchError((error) => later.wait().then(() => Promise.reject(error))),
          ),
      };
      let held = gate();
      let status: number | undefined;
      const guess = (response: Answering) => {
        if (status !== undefined) response.status(status);
        return held.wait();
      };
      const { app, asked, refunded } = await startGuessing(guess, {
        prepare: (nest) => void nest.useGlobalInterceptors(late),
      });
      const ends: [(held: Held) => void, number?][] = [
        [({ open }) => open('welcome')],
        [({ fail }) => fail(unauthorized)],
        [({ fail }) => fail(lockedOut)],
        [({ open }) => open('wrong'), 401],
      ];
      for (const [end, sent] of ends) {
        held = gate();
        status = sent;
        await hangUp(app, '/guess', during(held));
        end(held);
        await settle();
      }
      expect(asked).toEqual([
        { status: undefined, value: 'welcome' },
        { status: 401, error: unauthorized },
        { status: undefined, error: lockedOut },
        { status: 401, value: 'wrong' },
      ]);
      expect(refunded).toEqual(['guess', 'guess']);
      later.open(undefined);
      await settle();
      expect(asked).toHaveLength(4);
    });

    test.each<[string, (held: Held, response: Answering) => unknown, CallResult[]]>([
      [
        'later, and so is not known to have settled',
        (held, response) => void held.wait().then(() => response.status(401).send('wrong')),
        [],
      ],
      [
        'before it settles',
        async (held, response) => {
          await held.wait();
          response.status(401).send('wrong');
        },
        [{ status: 401, value: undefined }],
      ],
    ])('a handler may send the response itself, %s', async (_when, answer, results) => {
      const held = gate();
      const { app, asked, refunded } = await startGuessing((response) => answer(held, response));
      await hangUp(app, '/self', during(held));
      held.open(undefined);
      await settle();
      expect([asked, refunded]).toEqual([results, []]);
    });

    test('during a guard, before the handler runs', async () => {
      const held = gate();
      const { app, asked, refunded } = await startGuessing(() => 'welcome', {
        prepare: (nest) =>
          void nest.useGlobalGuards({ canActivate: async () => (await held.wait()) === 'passes' }),
      });
      await hangUp(app, '/guess', during(held));
      expect([asked, refunded]).toEqual([[], []]);
      held.open('passes');
      await settle();
      expect(asked).toEqual([{ status: 200, value: 'welcome' }]);
      expect(refunded).toEqual(['guess']);
    });

    test('before the limits are decided', async () => {
      const held = gate();
      const { app, asked, refunded } = await startGuessing(() => 'welcome', {
        prepare: (nest) =>
          void nest.use((_request: unknown, _response: unknown, next: () => void) => {
            void held.wait().then(next);
          }),
      });
      await hangUp(app, '/guess', during(held));
      held.open(undefined);
      await settle();
      expect(asked).toEqual([{ status: 200, value: 'welcome' }]);
      expect(refunded).toEqual(['guess']);
    });

    test('in the middle of a response, it receives the status that was sent', async () => {
      const body = new Readable({ read: () => undefined });
      const { app, asked, refunded } = await startGuessing(() => {
        body.push('the first part');
        return new StreamableFile(body);
      });
      await hangUp(app, '/guess', (client) => once(client, 'data'));
      expect(asked).toEqual([{ status: 200, value: expect.any(StreamableFile) }]);
      expect(refunded).toEqual(['guess']);
    });
  });
});

describe('countWhen', () => {
  const start = starter('express', { middleware: false });

  describe('only failed logins count', () => {
    test('in an asynchronous store', async () => {
      const clock = new TestClock(Date.now());
      const app = await start({
        controllers: [Logins],
        clock,
        options: { store: laterStore(new MemoryStore({ clock })) },
      });
      await failuresCount(app, clock);
    });

    test('on Redis', async () => {
      const redis = await startRedis();
      const clock = new TestClock();
      const store = new RedisStore({ url: redis.url, prefix: 'count', clock });
      // So patient that the store decides, however busy the machine is.
      const app = await start({ controllers: [Logins], options: { store, timeoutMs: 60_000 } });
      const seen: number[] = [];
      for (const right of [...times(8, 1), ...times(5, 0), ...times(2, 0), 1])
        seen.push((await post(app, '/login', right ? rightPassword : wrongPassword)).status);
      expect(seen).toEqual([...times(8, 201), ...times(5, 401), ...times(3, 429)]);
      expect(app.logged).toEqual([]);
    });

    test('exactly 5 of parallel ones are allowed', async () => {
      const app = await start({ controllers: [Logins] });
      const answers = await Promise.all(times(20, 0).map(() => post(app, '/login', wrongPassword)));
      expect(answers.filter(({ status }) => status === 401)).toHaveLength(5);
      expect(answers.filter(({ status }) => status === 429)).toHaveLength(15);
    });
  });

  describe('what counts', () => {
    test('by an asynchronous result; until then the charge stays', async () => {
      const waiting = gate();
      const app = await start({
        controllers: [
          route(
            () => 'ok',
            async () => ((await waiting.wait()) as string) === 'counts',
          ),
        ],
      });
      expect(await statuses(app, 3, '/do')).toEqual([200, 200, 429]);
      waiting.open('no');
      await settle();
      expect(await statuses(app, 2, '/do')).toEqual([200, 200]);
    });

    const failure = 'The countWhen function failed, so the charge stays. Cause: "broken"';
    const invalid = 'The countWhen function returned no boolean, so the charge stays.';
    test.each<[string, () => unknown, string]>([
      ['throws', throwing(new Error('broken')), failure],
      ['rejects', () => Promise.reject(new Error('broken')), failure],
      ['returns nothing', () => undefined, invalid],
      ['resolves to 0', async () => 0, `${invalid} It was 0.`],
    ])('if it %s, this is reported and the charge stays', async (_how, answer, logged) => {
      const { countWhen } = asking(answer);
      const app = await start({ controllers: [route(() => 'ok', countWhen)] });
      expect(await statuses(app, 3, '/do')).toEqual([200, 200, 429]);
      expect(app.logged).toEqual([`Route.do: ${logged}`]);
    });

    test('for each limit separately, shadow limits too', async () => {
      const { store, refunded } = recordingStore();
      @Controller()
      @RateLimit({ name: 'all', rate: '200/min' })
      @RateLimit({ name: 'failures', rate: '100/min', countWhen: failed })
      @RateLimit({ name: 'successes', rate: '100/min', countWhen: (_context, { status }) => status === 201 })
      @RateLimit({ name: 'shadow', rate: '2/min', shadow: true, countWhen: failed })
      class Several {
        @Post('login') login(@Body() body: object) {
          return check(body);
        }
      }
      const app = await start({ controllers: [Several], options: { store } });
      await post(app, '/login', rightPassword);
      expect(refunded).toEqual(['failures', 'shadow']);
      await post(app, '/login', wrongPassword);
      expect(refunded).toEqual(['failures', 'shadow', 'successes']);
      for (let i = 0; i < 5; i++) await post(app, '/login', rightPassword);
      expect(app.denials).toEqual([]);
      await post(app, '/login', wrongPassword);
      await post(app, '/login', wrongPassword);
      expect(app.denials).toMatchObject([{ message: 'Shadow rate limit exceeded', limit: 'shadow' }]);
      refunded.length = 0;
      await post(app, '/login', rightPassword);
      expect(refunded).toEqual(['failures']);
    });

    test('the whole cost is refunded, and charges made meanwhile stay', async () => {
      const first = gate();
      const answers = [() => first.wait(), () => 'ok'];
      const app = await start({
        controllers: [
          route(
            () => answers.shift()?.(),
            (_context, { value }) => value !== 'free',
            { rate: '6/min', cost: 3 },
          ),
        ],
      });
      const slow = app.get('/do');
      await first.entered;
      expect((await app.get('/do')).headers.get('x-ratelimit-remaining')).toBe('0');
      expect((await app.get('/do')).status).toBe(429);
      first.open('free');
      expect((await slow).status).toBe(200);
      expect((await app.get('/do')).headers.get('x-ratelimit-remaining')).toBe('0');
    });
  });

  describe('when it is called', () => {
    test('never for calls that the second phase denies, which refunds the charges of the first', async () => {
      const { Strict, asked } = strict();
      const { store, refunded } = recordingStore();
      const app = await start({ controllers: [Strict], options: { store } });
      expect(await statuses(app, 4, '/late', { as: 'alice' })).toEqual([200, 200, 429, 429]);
      await settle();
      expect(asked).toEqual(times(2, 0).map(() => ({ status: 200, value: 'ok' })));
      expect(refunded).toEqual(times(4, 0).map(() => 'address'));
    });

    test('never for exempt callers and skipped limits', async () => {
      const { Strict, asked } = strict();
      const { store, refunded } = recordingStore();
      const app = await start({
        controllers: [Strict],
        options: { store, exempt: ({ user }) => user?.isStaff === true },
      });
      expect(await statuses(app, 5, '/both', { as: 'staff' })).toEqual(times(5, 200));
      expect([asked, refunded]).toEqual([[], times(5, 0).map(() => 'address')]);
      const { asked: none, countWhen } = asking();
      const skipped = await start({ controllers: [route(() => 'ok', countWhen, { key: () => null })] });
      expect(await statuses(skipped, 5, '/do')).toEqual(times(5, 200));
      expect(none).toEqual([]);
    });

    test('never if nothing was charged: at a cost of 0, or by an exhausted shadow limit', async () => {
      const { asked, countWhen } = asking(() => true);
      for (const more of [{ cost: 0 }, { shadow: true }]) {
        const app = await start({ controllers: [route(() => 'ok', countWhen, more)] });
        expect(await statuses(app, 4, '/do')).toEqual(times(4, 200));
        expect(asked).toHaveLength('cost' in more ? 0 : 2);
      }
    });

    test('once for a handler that is retried, with the final result', async () => {
      const { asked, countWhen } = asking();
      let tries = 0;
      const handler = () => {
        tries++;
        if (tries < 3) throw new ConflictException();
        return 'at last';
      };
      const tryAgain: NestInterceptor = { intercept: (_execution, next) => next.handle().pipe(retry(2)) };
      const app = await start({
        controllers: [route(handler, countWhen)],
        prepare: (nest) => void nest.useGlobalInterceptors(tryAgain),
      });
      expect((await app.get('/do')).text).toBe('at last');
      expect(asked).toEqual([{ status: 200, value: 'at last' }]);
    });

    test('never if the second phase cannot decide', async () => {
      const { Strict, asked } = strict();
      const { store: inner, refunded } = recordingStore();
      const store: Store = {
        ...inner,
        consume: (charges) => {
          if (charges.some(({ policy }) => policy.name === 'user')) throw new Error('down');
          return inner.consume(charges);
        },
      };
      // So patient that every request meets the store.
      const app = await start({
        controllers: [Strict],
        options: { store, failMode: 'closed', breaker: { threshold: 1_000 } },
      });
      expect(await statuses(app, 5, '/both', { as: 'alice' })).toEqual(times(5, 503));
      expect([asked, refunded]).toEqual([[], times(5, 0).map(() => 'address')]);
    });

    test('a store that fails to refund is reported; a slow one delays no response', async () => {
      const refusing = recordingStore(throwing(new Error('store is down')));
      const app = await start({
        controllers: [freeRoute()],
        options: { store: refusing.store },
      });
      expect(await statuses(app, 3, '/do')).toEqual([200, 200, 429]);
      expect(app.logged).toEqual([expect.stringContaining('store: A charge could not be given back.')]);
      const waiting: (() => void)[] = [];
      const stuck = recordingStore(() => new Promise<void>((answer) => waiting.push(answer)));
      const slow = await start({
        controllers: [freeRoute()],
        options: { store: stuck.store },
      });
      expect(await statuses(slow, 3, '/do')).toEqual([200, 200, 429]);
      expect(stuck.refunded).toEqual(['do', 'do']);
      // Otherwise it is reported two seconds later, in the log of another test.
      for (const answer of waiting) answer();
    });

    test('two applications with the same class each see only their own calls', async () => {
      const { asked, countWhen } = asking();
      const type = route(() => 'ok', countWhen);
      const first = await start({ controllers: [type] });
      const second = await start({ controllers: [type] });
      await first.get('/do');
      expect(asked).toHaveLength(1);
      await second.get('/do');
      expect(asked).toHaveLength(2);
      expect(Reflect.getMetadata('__interceptors__', type.prototype.do)).toHaveLength(1);
    });

    test('routes without it have no interceptor', async () => {
      const { asked, countWhen } = asking();
      const Mixed = routes({
        '/with': RateLimit({ name: 'with', rate: '2/min', countWhen }),
        '/without': RateLimit({ name: 'without', rate: '2/min' }),
      });
      const app = await start({ controllers: [Mixed] });
      expect(await statuses(app, 3, '/without')).toEqual([200, 200, 429]);
      expect(asked).toEqual([]);
      const on = (name: 'with' | 'without') => Reflect.getMetadata('__interceptors__', Mixed.prototype[name]);
      expect([on('with').length, on('without')]).toEqual([1, undefined]);
    });

    test('limits of the module and of the class call it on every route', async () => {
      const { asked, countWhen } = asking();

      const limits = [{ name: 'burst', rate: '1/min', countWhen }] as const;
      const app = await start({ routes: { '/plain': [] }, options: { limits } });
      expect(await statuses(app, 3, '/plain')).toEqual([200, 200, 200]);
      expect(asked).toEqual(times(3, 0).map(() => ({ status: 200, value: 'ok' })));
    });
  });
});

describe('countWhen on other transports', () => {
  const start = starter('express', { middleware: false });

  test('GraphQL: when the resolver settles, each field of a query for itself', async () => {
    const { asked, countWhen } = asking(({ status }) => status === 401);
    @Resolver()
    class Accounts {
      @Query(() => String) @RateLimit({ name: 'login', rate: '2/min', countWhen }) login(
        @Args('password') password: string,
      ): string {
        return check({ password });
      }
    }
    const app = await start({
      imports: [graphqlModule()],
      providers: [Accounts],
    });
    const query = async (text: string) => (await post(app, '/graphql', { query: text })).json;
    const right = 'login(password: "right")';
    const wrong = 'login(password: "guess")';
    for (let i = 0; i < 3; i++) expect((await query(`{ ${right} }`)).data).toEqual({ login: 'welcome' });
    expect(asked).toEqual(times(3, 0).map(() => ({ value: 'welcome' })));
    await query(`{ a: ${right} b: ${wrong} }`);
    expect(asked.slice(3)).toEqual([
      { value: 'welcome' },
      { status: 401, error: new UnauthorizedException() },
    ]);
    await query(`{ ${wrong} }`);
    const { errors } = await query(`{ ${wrong} }`);
    expect(errors[0].extensions.code).toBe('RATE_LIMITED');
    expect(asked).toHaveLength(6);
  });

  test('WebSockets: when the handler settles, with its value or its error', async () => {
    const { asked, countWhen } = asking(({ error }) => error instanceof WsException);
    @WebSocketGateway()
    class Gateway {
      @SubscribeMessage('say') @RateLimit({ name: 'say', rate: '2/min', countWhen }) say(
        @MessageBody() text: string,
      ) {
        if (text === 'wrong') throw new WsException('wrong');
        if (text === 'never') return concat(of({ event: 'said', data: 'first' }), NEVER);
        return { event: 'said', data: text };
      }
    }
    const app = await start({
      providers: [Gateway],
      prepare: overWs,
    });
    const socket = await openSocket(app);
    for (let i = 0; i < 4; i++) expect((await socket.say('right')).event).toBe('said');
    expect(asked).toEqual(times(4, 0).map(() => ({ value: { event: 'said', data: 'right' } })));
    expect((await socket.say('wrong')).event).toBe('exception');
    expect(asked.slice(4)).toEqual([{ error: new WsException('wrong') }]);
    expect(await socket.say('never')).toEqual({ event: 'said', data: 'first' });
    expect(await socket.say('right')).toMatchObject({
      event: 'exception',
      data: { details: { throttle_type: 'say' } },
    });
    expect(asked).toHaveLength(5);
    socket.close();
  });

  test('microservices: when the handler settles, an Observable with its last value', async () => {
    const { asked, countWhen } = asking(({ value }) => value === 'counts');
    let answer: () => unknown = () => 'free';
    @Controller()
    class Messages {
      @MessagePattern('do') @RateLimit({ name: 'do', rate: '2/min', countWhen }) do() {
        return answer();
      }
    }
    const app = await start({
      controllers: [Messages],
      prepare: overTcp(),
    });
    const { client, send: first, close } = await startTcp(app);
    const send = () => lastValueFrom(client.send<string>('do', {}));
    for (let i = 0; i < 3; i++) expect(await send()).toBe('free');
    answer = () => of('counts', 'free');
    expect(await send()).toBe('free');
    answer = () => throwError(() => new RpcException('broken'));
    await expect(send()).rejects.toMatchObject({ message: 'broken' });
    answer = async () => 'counts';
    expect(await send()).toBe('counts');
    answer = () => concat(of('first'), NEVER);
    expect(await first('do')).toBe('first');
    await expect(send()).rejects.toMatchObject({ error: 'rate_limit_exceeded' });
    expect(asked).toEqual([
      ...times(3, 0).map(() => ({ value: 'free' })),
      { value: 'free' },
      { error: new RpcException('broken') },
      { value: 'counts' },
    ]);
    await close();
  });
});
