// How long an application of 1,000 routes takes to start, with limits and without.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { RateLimit, RateLimitModule } from '../dist/esm/index.js';
import { contest, median } from './support/contest.mjs';
import { table } from './support/section.mjs';

const ROUNDS = 9;
const CONTROLLERS = 100;
const ROUTES_EACH = 10;

function controller(at, isLimited) {
  class Routes {}
  // Two classes of one name would share buckets.
  Object.defineProperty(Routes, 'name', { value: `Routes${at}` });
  for (let route = 0; route < ROUTES_EACH; route++) {
    const name = `route${route}`;
    Routes.prototype[name] = () => 'ok';
    const descriptor = Object.getOwnPropertyDescriptor(Routes.prototype, name);
    Get(name)(Routes.prototype, name, descriptor);
    if (isLimited) RateLimit({ name, rate: '100/min' })(Routes.prototype, name, descriptor);
  }
  Controller(`controller${at}`)(Routes);
  return Routes;
}

/** Milliseconds until an application is ready. */
const way = (isLimited, imports) => () => ({
  async measure() {
    class App {}
    const controllers = Array.from({ length: CONTROLLERS }, (_, at) => controller(at, isLimited));
    Module({ controllers, imports: imports() })(App);
    const startMs = performance.now();
    const app = await NestFactory.create(App, new FastifyAdapter(), { logger: ['error'] });
    await app.init();
    const ms = performance.now() - startMs;
    await app.close();
    return ms;
  },
});

const limits = [
  { name: 'burst', rate: '1000/min', key: 'ip' },
  { name: 'user', rate: '10000/hour', key: 'user|ip' },
];

export const ways = {
  'without the module': way(false, () => []),
  'two limits for all, one on each route': way(true, () => [RateLimitModule.forRoot({ limits })]),
};

export default async function measure() {
  const measured = await contest(new URL(import.meta.url), Object.keys(ways), {}, ROUNDS);
  const [bare, limited] = Object.values(measured);
  const added = median(limited.map((ms, round) => ms - bare[round]));
  return {
    title: 'Start-up',
    text: `${CONTROLLERS * ROUTES_EACH} routes on Fastify, from \`NestFactory.create\` to \`init\`, ${ROUNDS} rounds in turn: plans and their checks take ${added.toFixed(0)} ms, ${((1_000 * added) / (CONTROLLERS * ROUTES_EACH)).toFixed(0)} microseconds a route.`,
    tables: [
      table(
        ['', 'milliseconds'],
        Object.entries(measured).map(([name, all]) => [name, median(all).toFixed(0)]),
      ),
    ],
  };
}
