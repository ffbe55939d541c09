// What the guard itself takes: `canActivate` on prepared contexts, without a server. The rest of a request over HTTP is in
// `http`.
import 'reflect-metadata';
import { Controller, Get, Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { MemoryStore, RateLimit, RateLimitGuard, RateLimitModule } from '../dist/esm/index.js';
import { median } from './support/contest.mjs';
import { table } from './support/section.mjs';

const ROUNDS = 41;
const CALLS = 5_000;
const ADDRESSES = 1_000;

const rate = { limit: 1_000_000_000, windowMs: 3_600_000 };
const limits = (count, more = {}) =>
  Array.from({ length: count }, (_, at) => RateLimit({ name: `limit-${at}`, rate, ...more }));

class UserGuard {
  canActivate() {
    return true;
  }
}

/** Decorators of a route, by what it is called in the table. */
const ROUTES = {
  'no limit': [],
  'one limit': limits(1),
  'three limits': limits(3),
  'one limit with countWhen': limits(1, { countWhen: (_context, { status }) => status >= 400 }),
  'one limit with an asynchronous key': limits(1, { key: async ({ address }) => address }),
  'an address limit and a user limit, with a guard behind': [
    ...limits(1),
    RateLimit({ name: 'user', rate, key: 'user' }),
    UseGuards(UserGuard),
  ],
};

class Bench {}
const names = Object.keys(ROUTES);
for (const [at, name] of names.entries()) {
  const method = `route${at}`;
  Bench.prototype[method] = () => 'ok';
  const descriptor = Object.getOwnPropertyDescriptor(Bench.prototype, method);
  for (const decorate of [Get(method), ...ROUTES[name]]) decorate(Bench.prototype, method, descriptor);
}
Controller()(Bench);

/** A reply that takes headers as Fastify's does. */
class Reply {
  raw = { once() {}, on() {}, writableFinished: false, destroyed: false };
  headers = {};
  /** By this the adapter tells a reply of Fastify from one of Node. */
  status() {
    return this;
  }
  header(name, value) {
    this.headers[name] = value;
    return this;
  }
  getHeader(name) {
    return this.headers[name];
  }
  hasHeader(name) {
    return name in this.headers;
  }
  removeHeader(name) {
    delete this.headers[name];
  }
}

const addresses = Array.from({ length: ADDRESSES }, (_, at) => `10.0.${at >> 8}.${at & 255}`);

function contextFor(handler, at) {
  const ip = addresses[at % ADDRESSES];
  const raw = { method: 'GET', url: '/', headers: {}, socket: { remoteAddress: ip } };
  const request = {
    ip,
    method: 'GET',
    headers: {},
    raw,
    socket: raw.socket,
    user: { id: `u${at % ADDRESSES}` },
  };
  return new ExecutionContextHost([request, new Reply()], Bench, handler);
}

/** Microseconds a call. */
async function measureCalls(guard, handler) {
  const contexts = Array.from({ length: CALLS }, (_, at) => contextFor(handler, at));
  const startMs = performance.now();
  for (const context of contexts) {
    const passes = guard.canActivate(context);
    if ((passes === true || passes === false ? passes : await passes) !== true) throw new Error('Denied.');
  }
  return ((performance.now() - startMs) * 1_000) / CALLS;
}

export default async function measure() {
  class App {}
  Module({
    controllers: [Bench],
    imports: [RateLimitModule.forRoot({ store: new MemoryStore({ maxBuckets: 10_000 }) })],
  })(App);
  const app = await NestFactory.create(App, new FastifyAdapter(), { logger: ['error'] });
  await app.init();
  const guard = app.get(RateLimitGuard);
  const seen = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -5; round < ROUNDS; round++) {
    for (const [at, name] of names.entries()) {
      const us = await measureCalls(guard, Bench.prototype[`route${at}`]);
      if (round >= 0) seen[name].push(us);
    }
  }
  await app.close();
  return {
    title: 'The guard by itself',
    text: `\`canActivate\` on prepared contexts of Fastify, in memory, without statistics, ${ADDRESSES} addresses: ${CALLS} calls of each route in turn, ${ROUNDS} rounds in one process.`,
    tables: [
      table(
        ['', 'microseconds a call', 'the fastest round'],
        names.map((name) => [name, median(seen[name]).toFixed(2), Math.min(...seen[name]).toFixed(2)]),
      ),
    ],
  };
}
