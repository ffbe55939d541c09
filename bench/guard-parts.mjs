// What the parts of a guarded request take, without sockets: applications in one process, a thousand requests of each in
// turn, handed to Fastify directly.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { RateLimitModule } from '../dist/esm/index.js';
import { median } from './support/contest.mjs';
import { table } from './support/section.mjs';

const ROUNDS = 41;
const REQUESTS = 1_000;
const ADDRESSES = 10_000;

const guard = (canActivate) => ({ providers: [{ provide: APP_GUARD, useValue: { canActivate } }] });
const ours = (options) => ({
  imports: [
    RateLimitModule.forRoot({
      limits: [{ name: 'hour', rate: { limit: 1_000_000, windowMs: 3_600_000 }, key: 'ip' }],
      trustProxy: 'loopback',
      ...options,
    }),
  ],
});

function writeFiveHeaders(execution) {
  const response = execution.switchToHttp().getResponse();
  response.header('X-RateLimit-Limit', '1000000');
  response.header('X-RateLimit-Remaining', '999999');
  response.header('X-RateLimit-Reset', '1795315379');
  response.header('RateLimit-Policy', '"hour";q=1000000;w=3600');
  response.header('RateLimit', '"hour";r=999999;t=3600');
  return true;
}

const MODULES = {
  'no guard': {},
  'a guard that does nothing': guard(() => true),
  'a guard that writes five headers, always the same': guard(writeFiveHeaders),
  'one limit, without headers': ours({ headers: false }),
  'one limit, without headers, with statistics': ours({ headers: false, statistics: true }),
  'one limit': ours({}),
  'one limit, with statistics': ours({ statistics: true }),
};

async function applicationOf(module) {
  class Bench {
    get() {
      return 'ok';
    }
  }
  Get()(Bench.prototype, 'get', Object.getOwnPropertyDescriptor(Bench.prototype, 'get'));
  Controller()(Bench);
  class App {}
  Module({ controllers: [Bench], ...module })(App);
  const app = await NestFactory.create(App, new FastifyAdapter({ trustProxy: 'loopback' }), {
    logger: ['error'],
  });
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

let turn = 0;
/** Microseconds a request. */
async function measureRequests(app) {
  const fastify = app.getHttpAdapter().getInstance();
  const startMs = performance.now();
  for (let i = 0; i < REQUESTS; i++) {
    turn = (turn + 7_919) % ADDRESSES;
    const headers = { 'x-forwarded-for': `10.0.${turn >> 8}.${turn & 255}` };
    const { statusCode } = await fastify.inject({
      method: 'GET',
      url: '/',
      remoteAddress: '127.0.0.1',
      headers,
    });
    if (statusCode !== 200) throw new Error(`It was answered ${statusCode}.`);
  }
  return ((performance.now() - startMs) * 1_000) / REQUESTS;
}

export default async function measure() {
  const apps = {};
  const seen = {};
  for (const [name, module] of Object.entries(MODULES)) {
    apps[name] = await applicationOf(module);
    seen[name] = [];
    for (let i = 0; i < 3; i++) await measureRequests(apps[name]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, app] of Object.entries(apps)) seen[name].push(await measureRequests(app));
  }
  for (const app of Object.values(apps)) await app.close();
  const bare = seen['no guard'];
  return {
    title: 'Parts of a guarded request',
    text: `Fastify, in memory, one limit; requests that are handed to Fastify without a socket, ${REQUESTS} of each application in turn, ${ROUNDS} rounds in one process. What is added is the median of the differences to the application without a guard in the same round.`,
    tables: [
      table(
        ['', 'microseconds a request', 'the fastest round', 'added'],
        Object.entries(seen).map(([name, all]) => [
          name,
          median(all).toFixed(1),
          Math.min(...all).toFixed(1),
          median(all.map((us, round) => us - bare[round])).toFixed(1),
        ]),
      ),
    ],
  };
}
