// An application whose limits have a store that a test makes fail. Arguments: the platform, the URL of Redis, and
// the rate of its limits.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { RateLimit, RateLimitEvents, RateLimiter, RateLimitModule } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
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
await app.listen(0, '127.0.0.1');
// A connection that the application has just closed for being idle would fail a request of the load.
app.getHttpServer().keepAliveTimeout = 60_000;

const limiter = app.get(RateLimiter);
let events = [];
app
  .get(RateLimitEvents)
  .on('breaker', ({ state }) => events.push(state))
  .on('recovered', () => events.push('recovered'));

/** The slowest of decisions that are asked for one after the other, outside HTTP. */
let slowestDecisionMs = 0;
let isClosing = false;
const decisions = (async () => {
  while (!isClosing) {
    const start = performance.now();
    await limiter.consume({ scope: 'outside', identity: 'user:1' });
    slowestDecisionMs = Math.max(slowestDecisionMs, performance.now() - start);
    await sleep(5);
  }
})();

serve({
  url: () => app.getUrl(),
  state: () => ({ ...limiter.health(), slowestDecisionMs, events, logged }),
  forget() {
    slowestDecisionMs = 0;
    events = [];
  },
  async close() {
    isClosing = true;
    await decisions;
    await app.close();
  },
});
