import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  HttpException,
  UseFilters,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { RateLimit, RateLimitException, type RateLimitModuleOptions } from 'nestjs-ratelimit';
import { parseList } from 'structured-headers';
import {
  type Answer,
  type AppOptions,
  platforms,
  serve,
  starter,
  statuses,
  type TestApp,
  throwing,
} from '../support/app.js';

@Controller()
class Responses {
  @Get('three') @RateLimit({ name: 'three', rate: '3/min' }) three() {
    return 'ok';
  }
  @Get('two')
  @RateLimit({ name: 'hour', rate: '100/hour' })
  @RateLimit({ name: 'odd "name\\', rate: '1/min', message: 'Slow down, please.' })
  two() {
    return 'ok';
  }
  @Get('never') @RateLimit({ name: 'never', rate: '0/min' }) never() {
    return 'ok';
  }
  @Get('own') @RateLimit({ name: 'own', rate: '100/min' }) own() {
    throw new HttpException({ mine: true }, 429);
  }
  @Get('bucket')
  @RateLimit({ name: 'bucket', rate: '60/min', algorithm: 'token-bucket', burst: 10 })
  bucket() {
    return 'ok';
  }
}

/** A catch-all filter of an application. */
@Catch()
class CatchAll implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}
  catch(exception: unknown, host: ArgumentsHost) {
    const known = exception instanceof HttpException;
    const response = host.switchToHttp().getResponse();
    this.host.httpAdapter.setHeader(response, 'x-caught', 'yes');
    this.host.httpAdapter.reply(
      response,
      known ? exception.getResponse() : { failed: true },
      known ? exception.getStatus() : 500,
    );
  }
}

const own = ({ headers }: Answer): Record<string, string> =>
  Object.fromEntries(
    [...headers].filter(([name]) => /ratelimit|retry-after|cache-control|content-type/.test(name)),
  );

describe.each(platforms)('responses on %s', (platform) => {
  const open = starter(platform, { controllers: [Responses] });
  const start = (options: RateLimitModuleOptions) => open({ options });
  /** With the usual options. */
  let app: TestApp;
  beforeAll(async () => {
    app = await serve(platform, { controllers: [Responses] });
  });
  afterEach(() => app.store.clear());
  afterAll(() => app.close());

  test('headers of a token bucket: its burst, and the time in which it refills', async () => {
    const { headers } = await app.get('/bucket');
    expect(['x-ratelimit-limit', 'ratelimit-policy', 'ratelimit'].map((name) => headers.get(name))).toEqual([
      '10',
      '"bucket";q=10;w=10',
      '"bucket";r=9;t=1',
    ]);
  });

  test('A35 Remaining counts down, then a 429 with Limit 3, Remaining 0 and a Reset in the future', async () => {
    for (const remaining of ['2', '1', '0']) {
      const { status, headers } = await app.get('/three');
      expect([status, headers.get('x-ratelimit-remaining'), headers.get('retry-after')]).toEqual([
        200,
        remaining,
        null,
      ]);
    }
    const { status, headers } = await app.get('/three');
    expect(status).toBe(429);
    expect(headers.get('x-ratelimit-limit')).toBe('3');
    expect(headers.get('x-ratelimit-remaining')).toBe('0');
    expect(headers.get('x-ratelimit-reset')).toMatch(/^\d+$/);
    expect(Number(headers.get('x-ratelimit-reset')) * 1_000).toBeGreaterThan(app.clock.now());
    expect(Number(headers.get('x-ratelimit-reset'))).toBe(Math.ceil((app.clock.now() + 60_000) / 1_000));
    expect(headers.get('cache-control')).toBe('no-store');
  });

  test("A35 a handler's own 429 is not changed", async () => {
    const { status, json, headers } = await app.get('/own');
    expect([status, json]).toEqual([429, { mine: true }]);
    expect(headers.get('retry-after')).toBeNull();
    expect(headers.get('x-ratelimit-remaining')).toBe('99');
  });

  const catchAll: readonly [string, AppOptions][] = [
    [
      'useGlobalFilters',
      { prepare: (app) => void app.useGlobalFilters(new CatchAll(app.get(HttpAdapterHost))) },
    ],
    ['APP_FILTER', { providers: [{ provide: APP_FILTER, useClass: CatchAll }] }],
  ];

  test.each(
    catchAll.flatMap(([way, how]) => (['json', 'problem'] as const).map((body) => [way, body, how] as const)),
  )(
    'A35 with a catch-all filter of the application by %s, headers and body are the same (%s)',
    async (_way, body, how) => {
      const ours = await start({ body });
      const theirs = await open({ ...how, options: { body } });
      theirs.clock.set(ours.clock.now());
      for (const app of [ours, theirs]) await statuses(app, 3, '/three');
      const [expected, answered] = [await ours.get('/three'), await theirs.get('/three')];
      expect(answered.status).toBe(429);
      expect(answered.json).toEqual(expected.json);
      expect(own(answered)).toEqual(own(expected));
      expect(answered.headers.get('x-caught')).toBe('yes');
      expect((await theirs.get('/own')).json).toEqual({ mine: true });
    },
  );

  test('A36 the body has every field, and its seconds agree with the header', async () => {
    await statuses(app, 3, '/three');
    app.clock.advance('28s');
    const { json, headers } = await app.get('/three');
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(json).toEqual({
      statusCode: 429,
      error: 'rate_limit_exceeded',
      message: 'Too many requests. Try again in 32 seconds.',
      details: {
        throttle_type: 'three',
        retry_after_seconds: 32,
        retry_after_timestamp: Math.ceil(app.clock.now() / 1_000) + 32,
        retry_after_human: '32 seconds',
      },
    });
    expect(headers.get('retry-after')).toBe('32');
  });

  test('A36 the IETF fields parse as structured fields and name every limit', async () => {
    await app.get('/two');
    const { headers } = await app.get('/two');
    const policies = parseList(headers.get('ratelimit-policy') ?? '');
    const limits = parseList(headers.get('ratelimit') ?? '');
    const plain = (list: typeof policies) =>
      list.map(([name, parameters]) => [name, Object.fromEntries(parameters)]);
    expect(plain(policies)).toEqual([
      ['hour', { q: 100, w: 3600 }],
      ['odd "name\\', { q: 1, w: 60 }],
    ]);
    expect(plain(limits)).toEqual([
      ['hour', { r: 99, t: 3600 }],
      ['odd "name\\', { r: 0, t: 60 }],
    ]);
  });

  test('a limit has its own message', async () => {
    await app.get('/two');
    expect((await app.get('/two')).json.message).toBe('Slow down, please.');
  });

  test('if retrying can never succeed, Retry-After is omitted and the body has null', async () => {
    const { json, headers } = await app.get('/never');
    expect(headers.get('retry-after')).toBeNull();
    expect(json.message).toBe('This request exceeds what its rate limit can ever admit.');
    expect(json.details).toEqual({
      throttle_type: 'never',
      retry_after_seconds: null,
      retry_after_timestamp: null,
      retry_after_human: null,
    });
  });

  test("body: 'problem' is RFC 9457", async () => {
    const app = await start({ body: 'problem' });
    await statuses(app, 3, '/three');
    const { status, json, headers } = await app.get('/three');
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect([status, json]).toEqual([
      429,
      {
        type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
        title: 'Request cannot be satisfied as assigned quota has been exceeded',
        status: 429,
        detail: 'Too many requests. Try again in 1 minute.',
        'violated-policies': ['three'],
      },
    ]);
    expect(app.logged).toEqual([]);
  });

  test('a body function may return an object or text', async () => {
    const object = await start({
      body: (outcome, context) => ({ slow: outcome.decidedBy?.name, path: context.request.url }),
    });
    await statuses(object, 3, '/three');
    expect((await object.get('/three')).json).toEqual({ slow: 'three', path: '/three' });
    const text = await start({ body: ({ retryAfterMs }) => `wait ${retryAfterMs}` });
    await statuses(text, 3, '/three');
    expect((await text.get('/three')).text).toBe('wait 60000');
  });

  test.each([
    ['throws', throwing(new Error('no template')), 'no template'],
    ['is asynchronous', async () => ({ mine: true }), 'returned a promise'],
    ['returns a promise that rejects', () => Promise.reject(new Error('no template')), 'no template'],
  ])('a body function that %s is logged, and the default body is sent', async (how, body, said) => {
    const app = await start({ body });
    await statuses(app, 3, '/three');
    for (let i = 0; i < 3; i++) {
      const { status, json } = await app.get('/three');
      expect([status, json.error, json.details.throttle_type]).toEqual([429, 'rate_limit_exceeded', 'three']);
    }
    expect(app.logged.filter((line) => line.includes(said))).toHaveLength(1);
    if (how !== 'throws') expect(app.logged[0]).toContain('Make it synchronous.');
  });

  test('each family of headers can be disabled or renamed', async () => {
    const legacy = await start({ headers: { standard: false } });
    expect(Object.keys(own(await legacy.get('/three'))).filter((name) => name.includes('rate'))).toEqual([
      'x-ratelimit-limit',
      'x-ratelimit-remaining',
      'x-ratelimit-reset',
    ]);
    const standard = await start({ headers: { legacy: false, retryAfter: false } });
    await statuses(standard, 3, '/three');
    expect(Object.keys(own(await standard.get('/three')))).toEqual([
      'cache-control',
      'content-type',
      'ratelimit',
      'ratelimit-policy',
    ]);
    const renamed = await start({
      headers: { legacy: { limit: 'X-Quota' }, standard: { limits: 'X-Limits' }, retryAfter: 'X-Wait' },
    });
    await statuses(renamed, 3, '/three');
    const { headers } = await renamed.get('/three');
    expect([headers.get('x-quota'), headers.get('x-ratelimit-remaining'), headers.get('x-wait')]).toEqual([
      '3',
      '0',
      '60',
    ]);
    expect(headers.get('x-limits')).toBe('"three";r=0;t=60');
    const none = await start({ headers: false });
    expect(Object.keys(own(await none.get('/three')))).toEqual(['content-type']);
    await statuses(none, 2, '/three');
    const denied = await none.get('/three');
    expect([denied.status, Object.keys(own(denied))]).toEqual([429, ['cache-control', 'content-type']]);
    expect(denied.headers.get('cache-control')).toBe('no-store');
  });

  const seen: unknown[] = [];
  @Catch(RateLimitException)
  class Audit implements ExceptionFilter<RateLimitException> {
    catch(exception: RateLimitException, host: ArgumentsHost) {
      seen.push(exception.outcome.decidedBy?.name, exception.getStatus());
      const response = host.switchToHttp().getResponse();
      response.status(418).send({ teapot: true });
    }
  }

  test.each<[string, AppOptions]>([
    ['useGlobalFilters', { prepare: (nest) => void nest.useGlobalFilters(new Audit()) }],
    ['APP_FILTER', { providers: [{ provide: APP_FILTER, useClass: Audit }] }],
    [
      '@UseFilters',
      {
        routes: { '/three': RateLimit({ name: 'three', rate: '3/min' }) },
        decorators: [UseFilters(Audit)],
      },
    ],
  ])('an application catches our exception with %s and finds the outcome in it', async (_way, options) => {
    seen.length = 0;
    const app = await open(options);
    await statuses(app, 3, '/three');
    const answer = await app.get('/three');
    expect([answer.status, answer.json, seen]).toEqual([418, { teapot: true }, ['three', 429]]);
    expect(answer.headers.get('retry-after')).toBe('60');
  });
});
