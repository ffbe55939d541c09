// An application of one route behind one of several guards, or none. Its argument is JSON:
//   platform  fastify, express
//   guard     none, empty, ours, throttler, express-rate-limit, fastify-rate-limit
//   rates     lists of [name, limit, windowMs]
//   redis     a port; without it what is counted stays in memory
//   options   more options of RateLimitModule;  admin, meter  whether somebody watches
// Tells its port, then, whenever it is asked, the processor time that it has used, and ends with its parent.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Redis } from 'ioredis';

const { platform, guard, rates = [], redis, options = {}, admin, meter } = JSON.parse(process.argv[2]);

class Bench {
  get() {
    return 'ok';
  }
}
Get()(Bench.prototype, 'get', Object.getOwnPropertyDescriptor(Bench.prototype, 'get'));
Controller()(Bench);

async function ours() {
  const { RateLimitModule } = await import('../../dist/esm/index.js');
  const imports = [
    RateLimitModule.forRoot({
      limits: rates.map(([name, limit, windowMs]) => ({ name, rate: { limit, windowMs }, key: 'ip' })),
      trustProxy: 'loopback',
      ...(redis && { store: await storeOn(redis) }),
      ...(meter && { meter: await meterOf() }),
      ...options,
    }),
  ];
  if (admin) {
    const { RateLimitAdminModule } = await import('../../dist/esm/admin/index.js');
    imports.push(RateLimitAdminModule.forRoot({ allowUnguarded: true }));
  }
  return { imports };
}

async function storeOn(port) {
  const { RedisStore } = await import('../../dist/esm/store/redis/index.js');
  return new RedisStore({ port });
}

async function meterOf() {
  const { PrometheusExporter } = await import('@opentelemetry/exporter-prometheus');
  const { MeterProvider } = await import('@opentelemetry/sdk-metrics');
  return new MeterProvider({ readers: [new PrometheusExporter({ preventServerStart: true })] }).getMeter(
    'bench',
  );
}

async function throttler() {
  const { ThrottlerGuard, ThrottlerModule } = await import('@nestjs/throttler');
  const { ThrottlerStorageRedisService } = await import('@nest-lab/throttler-storage-redis');
  const throttlers = rates.map(([name, limit, ttl]) => ({ name, limit, ttl }));
  const storage = redis && { storage: new ThrottlerStorageRedisService(new Redis(redis)) };
  return {
    imports: [ThrottlerModule.forRoot({ throttlers, ...storage })],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  };
}

/** What any guard costs. */
async function empty() {
  return { providers: [{ provide: APP_GUARD, useValue: { canActivate: () => true } }] };
}

const modules = { ours, throttler, empty };

class App {}
Module({ controllers: [Bench], ...(await modules[guard]?.()) })(App);

// What peers take the address from.
const adapter =
  platform === 'fastify' ? new FastifyAdapter({ trustProxy: 'loopback' }) : new ExpressAdapter();
const app = await NestFactory.create(App, adapter, { logger: ['error'] });
if (platform === 'express') app.getHttpAdapter().set('trust proxy', 'loopback');
for (const [, limit, windowMs] of guard === 'express-rate-limit' ? rates : []) {
  const { rateLimit } = await import('express-rate-limit');
  const { RedisStore } = await import('rate-limit-redis');
  const client = redis && new Redis(redis);
  const store = redis && { store: new RedisStore({ sendCommand: (...args) => client.call(...args) }) };
  app.use(rateLimit({ windowMs, limit, standardHeaders: 'draft-8', ...store }));
}
if (guard === 'fastify-rate-limit') {
  const [[, max, timeWindow]] = rates;
  const { default: plugin } = await import('@fastify/rate-limit');
  await app.register(plugin, { max, timeWindow, cache: 20_000, ...(redis && { redis: new Redis(redis) }) });
}
await app.listen(0, '127.0.0.1');
process.on('message', () => process.send(process.cpuUsage()));
process.send(app.getHttpServer().address().port);
process.on('disconnect', () => process.exit());
