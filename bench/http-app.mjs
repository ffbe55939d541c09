// An application of one limited route for the HTTP benches. Arguments: the platform, and options of RateLimitModule
// as JSON; without them it is not limited. Tells its port, then, whenever it is asked, the processor time that it has
// used, and ends with its parent.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { RateLimitAdminModule } from '../dist/esm/admin/index.js';
import { RateLimitModule } from '../dist/esm/index.js';

const [, , platform, json = 'null', extras = ''] = process.argv;
const options = JSON.parse(json);
const meter = () => new MeterProvider({ readers: [new PrometheusExporter({ preventServerStart: true })] });
const has = (extra) => extras.split(',').includes(extra);

class Bench {
  get() {
    return 'ok';
  }
}
Get()(Bench.prototype, 'get', Object.getOwnPropertyDescriptor(Bench.prototype, 'get'));
Controller()(Bench);

class App {}
Module({
  controllers: [Bench],
  imports: [
    ...(options === null
      ? []
      : [
          RateLimitModule.forRoot({
            ...options,
            trustProxy: 'loopback',
            ...(has('meter') ? { meter: meter().getMeter('bench') } : {}),
          }),
        ]),
    ...(has('admin') ? [RateLimitAdminModule.forRoot({ allowUnguarded: true })] : []),
  ],
})(App);

const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(App, adapter, { logger: ['error'] });
await app.listen(0, '127.0.0.1');
process.on('message', () => process.send(process.cpuUsage()));
process.send(app.getHttpServer().address().port);
process.on('disconnect', () => process.exit());
