// An application whose limits have a store that a test makes fail. Arguments: the platform, the URL of Redis, and
// the rate of its limits.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Redis } from 'ioredis';
import { RateLimit, RateLimitEvents, RateLimiter, RateLimitModule } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { OwnTime } from './own-time.mjs';
import { serve } from './serve.mjs';

const [, , platform, url, rate] = process.argv;

class Shop {}
for (const failMode of ['local', 'open', 'closed']) {
  Shop.prototype[failMode] = () => 'ok';
  const descriptor = Object.getOwnPropertyDescriptor(Shop.prototype, failMode);
  RateLimit({ name: failMode, rate, failMode })(Shop.prototype, failMode, descriptor);
  Get(failMode)(Shop.prototype, failMode, descriptor);
}
Controller()(Shop);

class App {}
Module({
  controllers: [Shop],
  imports: [
    RateLimitModule.forRoot({
      store: new RedisStore({ url }),
      scopes: { outside: '1000000/s' },
      trustProxy: 'loopback',
      logDenials: false,
    }),
  ],
})(App);

const logged = [];
const hear = (line) => logged.push(String(line));
Logger.overrideLogger({ log() {}, warn: hear, error: hear });
const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(App, adapter, { logger: { log() {}, warn: hear, error: hear } });

/** Judges what the library takes, however busy the machine is. */
const time = new OwnTime();
const nothing = () => ({
  requestsMs: [],
  slowestDecisionMs: 0,
  slowestRoundMs: 0,
  backMs: null,
  events: [],
  admitted: [],
});
/** The counts for a test since `forget`. */
const seen = nothing();
let mendedMs = null;

app.use((_request, response, next) => {
  const start = time.now();
  response.once('finish', () => seen.requestsMs.push(time.now() - start));
  next();
});
await app.listen(0, '127.0.0.1');
// A connection that the application has just closed for being idle would fail a request of the load.
app.getHttpServer().keepAliveTimeout = 60_000;

const limiter = app.get(RateLimiter);
app
  .get(RateLimitEvents)
  .on('breaker', ({ state }) => seen.events.push(state))
  .on('recovered', () => {
    seen.events.push('recovered');
    seen.backMs = mendedMs === null ? 0 : time.now() - mendedMs;
  })
  .on('allowed', ({ route, outcome }) => {
    for (const { atMs, charge } of outcome.decisions) {
      seen.admitted.push({ route, client: charge.identity, atMs, isDegraded: outcome.degraded });
    }
  });

let isClosing = false;

/** Runs something again and again, one after the other, until the application closes. */
const again = async (act) => {
  while (!isClosing) {
    await act();
    await sleep(5);
  }
};

/** Decisions outside HTTP. */
const decisions = again(async () => {
  const start = time.now();
  await limiter.consume({ scope: 'outside', identity: 'user:1' });
  seen.slowestDecisionMs = Math.max(seen.slowestDecisionMs, time.now() - start);
});

/** A timer and a PING of its own, again and again: how long this process, the network and the server take by themselves. */
const client = new Redis(url, {
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: 1_000,
});
client.on('error', () => undefined);
let roundMs = performance.now();
const rounds = again(async () => {
  // A connection that is silent stays out of step with its replies.
  const replied = await client.ping().catch(() => client.disconnect(true));
  const nowMs = performance.now();
  if (replied === 'PONG') seen.slowestRoundMs = Math.max(seen.slowestRoundMs, nowMs - roundMs);
  roundMs = nowMs;
});

serve({
  url: () => app.getUrl(),
  state: () => ({ ...limiter.health(), ...seen, logged }),
  forget() {
    Object.assign(seen, nothing());
    mendedMs = null;
  },
  mended() {
    mendedMs = time.now();
  },
  async close() {
    isClosing = true;
    client.disconnect();
    await Promise.all([decisions, rounds]);
    time.stop();
    await app.close();
  },
});
