import { Logger, type LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { RateLimit, RateLimitModule, type TrustProxy } from 'nestjs-ratelimit';
import { io } from 'socket.io-client';
import { configErrorOf, moduleOf, type Platform, platforms, routes, serve, starter } from '../support/app.js';
import { gateway } from '../support/transports.js';

const Daily = routes({ '/': RateLimit({ rate: '1/day', key: 'ip' }), '/open': [] });

describe.each(platforms)('trusted proxies on %s', (platform) => {
  const start = starter(platform, { controllers: [Daily] });
  const startTrusting = async (trustProxy: TrustProxy) => {
    const app = await start({ options: { trustProxy } });
    return {
      ...app,
      through: async (header?: string) =>
        (await app.get('/', header === undefined ? {} : { from: header })).status,
    };
  };

  test.each<[string, TrustProxy]>([
    ['one hop', 1],
    ['a network', ['127.0.0.0/8']],
    ['an address', ['127.0.0.1']],
    ['a name', 'loopback'],
    ['a list in one text', '10.0.0.0/8, 127.0.0.1'],
  ])('A13 %s: addresses left of the last one in the header change nothing', async (_what, trust) => {
    const { through } = await startTrusting(trust);
    expect(await through('0.0.0.0, 1.1.1.1, 2.2.2.2')).toBe(200);
    expect(await through('4.4.4.4, 5.5.5.5, 2.2.2.2')).toBe(429);
    expect(await through('2.2.2.2')).toBe(429);
    expect(await through('0.0.0.0, 1.1.1.1, 7.7.7.7')).toBe(200);
    expect(await through('2.2.2.2, 7.7.7.7')).toBe(429);
  });

  test.each<[string, TrustProxy]>([
    ['another network', ['10.0.0.0/8']],
    ['no hop', 0],
    ['an empty list', []],
  ])(
    'A14 if %s is trusted, the socket address of a peer that sends the header counts',
    async (_what, trust) => {
      const { through, store } = await startTrusting(trust);
      expect(await through('2.2.2.2')).toBe(200);
      expect(await through('7.7.7.7')).toBe(429);
      expect(await through()).toBe(429);
      expect(store.size).toBe(1);
    },
  );

  test('A13 IPv6, IPv4-mapped and ports behind addresses', async () => {
    const { through } = await startTrusting(1);
    expect(await through('2001:db8::1')).toBe(200);
    expect(await through('[2001:db8::2]:443')).toBe(429);
    expect(await through('[2001:db8::3]')).toBe(429);
    expect(await through('2001:db8:0:1::1')).toBe(200);
    expect(await through('203.0.113.7:51234')).toBe(200);
    expect(await through('203.0.113.7:51235')).toBe(429);
    expect(await through('::ffff:203.0.113.7')).toBe(429);
    expect(await through('::ffff:cb00:7107')).toBe(429);
    expect(await through('  203.0.113.7  ')).toBe(429);
  });

  test.each<[string, TrustProxy]>([
    ['one hop', 1],
    ['a network', 'loopback'],
  ])('A15 garbage in the header is never trusted and never crashes: %s', async (_what, trust) => {
    const { through } = await startTrusting(trust);
    expect(await through()).toBe(200);
    for (const header of [
      'garbage',
      '2.2.2.2, garbage',
      '2.2.2.2,',
      ',,,',
      ' ',
      'unknown',
      '_hidden',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '0x7f.1',
      '256.1.1.1',
      '1.2.3.4:',
      '1.2.3.4:80:90',
      '[2001:db8::1',
      '[]:80',
      '2001:db8::1::2',
      '%',
      '::%',
      '__proto__',
      'constructor',
      '2.2.2.2;7.7.7.7',
      '"2.2.2.2"',
      'x'.repeat(8_000),
      ','.repeat(8_000),
      '%00',
    ])
      expect([header.slice(0, 20), await through(header)]).toEqual([header.slice(0, 20), 429]);
  });

  test('A15 a header with thousands of trusted hops does not evade the limit', async () => {
    const { through } = await startTrusting(['0.0.0.0/0']);
    const hops = Array.from({ length: 1_200 }, () => '1.1.1.1').join(',');
    expect(await through(`9.9.9.9,${hops}`)).toBe(200);
    expect(await through(`8.8.8.8,${hops}`)).toBe(429);
  });
});

describe('trusted proxies', () => {
  const start = starter('express', { controllers: [Daily] });

  test.each<[unknown, string]>([
    [-1, 'bad-address'],
    [1.5, 'bad-address'],
    [Number.NaN, 'bad-address'],
    ['', 'bad-address'],
    ['everybody', 'bad-address'],
    ['1', 'bad-address'],
    ['constructor', 'bad-address'],
    ['10.0.0.0/33', 'bad-address'],
    [['10.0.0.0/8', '10.1/16'], 'bad-address'],
    [[1], 'bad-address'],
    [[undefined], 'bad-address'],
    [true, 'bad-option'],
    [null, 'bad-option'],
    [{}, 'bad-option'],
  ])('trustProxy: %j is an error at start-up', async (trustProxy, code) => {
    const error = await configErrorOf(start({ options: { trustProxy: trustProxy as TrustProxy } }));
    expect(error.problems.map((problem) => problem.code)).toEqual([code]);
  });
});

test('trustProxy as a text of digits is an error that suggests a number', async () => {
  const root = () => RateLimitModule.forRoot({ trustProxy: '1' });
  await expect(serve('fastify', { root })).rejects.toThrow('trustProxy: 1, or Number(');
});

/** An application whose platform trusts nobody, and what it warned of. */
async function serveTrustingNobody(platform: Platform, trustProxy?: TrustProxy) {
  const said: string[] = [];
  const logger: LoggerService = {
    log: () => undefined,
    error: (message) => said.push(String(message)),
    warn: (message) => said.push(String(message)),
  };
  const limits = RateLimitModule.forRoot({ trustProxy, logDenials: false });
  const type = moduleOf({ imports: [limits], controllers: [Daily] });
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(type, adapter, { logger });
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return {
    said,
    get: async (path: string, header?: string) =>
      (await fetch(url + path, header === undefined ? {} : { headers: { 'x-forwarded-for': header } }))
        .status,
    async close() {
      await app.close();
      Logger.overrideLogger(['log', 'error', 'warn']);
    },
  };
}

describe.each(platforms)('an X-Forwarded-For header of an untrusted peer on %s', (platform) => {
  test('is one warning with the fix, and A14 the socket address is charged', async () => {
    const app = await serveTrustingNobody(platform);
    expect(await app.get('/')).toBe(200);
    expect(app.said).toEqual([]);
    for (const header of ['2.2.2.2', '7.7.7.7', 'garbage']) expect(await app.get('/', header)).toBe(429);
    expect(app.said).toEqual([expect.stringContaining('X-Forwarded-For')]);
    expect(app.said[0]).toContain(' 127.0.0.1 was charged');
    expect(app.said[0]).toContain('set trustProxy of RateLimitModule');
    await app.close();
  });

  test('is no warning if trustProxy is set, or no limit uses the address', async () => {
    const trusting = await serveTrustingNobody(platform, 0);
    expect([await trusting.get('/', '2.2.2.2'), await trusting.get('/', '7.7.7.7')]).toEqual([200, 429]);
    expect(trusting.said).toEqual([]);
    await trusting.close();
    const app = await serveTrustingNobody(platform);
    expect(await app.get('/open', '2.2.2.2')).toBe(200);
    expect(app.said).toEqual([]);
    await app.close();
  });

  test('is no warning if the platform trusts the peer', async () => {
    const app = await serve(platform, { controllers: [Daily] });
    for (const from of ['2.2.2.2', '7.7.7.7']) expect((await app.get('/', { from })).status).toBe(200);
    expect(app.warned).toEqual([]);
    await app.close();
  });
});

describe('trusted proxies of Socket.IO', () => {
  const start = starter('express');

  test.each<[string, TrustProxy, string[]]>([
    ['the header counts if its peer is trusted', 1, ['said', 'exception', 'said']],
    ['the peer counts if it is not trusted', 0, ['said', 'exception', 'exception']],
  ])('%s', async (_what, trustProxy, expected) => {
    const app = await start({
      providers: [gateway(RateLimit({ rate: '1/min', key: 'ip' }))],
      options: { trustProxy },
      prepare: (nest) => void nest.useWebSocketAdapter(new IoAdapter(nest)),
    });
    const events: string[] = [];
    for (const header of ['1.1.1.1, 2.2.2.2', '2.2.2.2', '7.7.7.7']) {
      const extraHeaders = { 'x-forwarded-for': header };
      const socket = io(app.url, { transports: ['websocket'], forceNew: true, extraHeaders });
      await new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
      const replied = new Promise<string>((resolve) => socket.onAny(resolve));
      socket.emit('say', 'hello');
      events.push(await replied);
      socket.close();
    }
    expect(events).toEqual(expected);
    expect(app.logged.filter((line) => line.includes('no address'))).toEqual([]);
  });
});
