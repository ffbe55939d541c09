import { RedisStore } from 'nestjs-ratelimit/redis';
import { createShop } from './app.js';
import { serveMetrics } from './metrics.js';

const DEFAULT_PORT = 3000;

function portFrom(name: string, fallback: number | null): number | null {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  console.error(`${name} is ${JSON.stringify(text)}, which is not a port. Give a number from 0 to 65535.`);
  process.exit(1);
}

const port = portFrom('PORT', DEFAULT_PORT) as number;
const metricsPort = portFrom('METRICS_PORT', null);
const metrics = metricsPort === null ? null : serveMetrics(metricsPort);
const platform = process.env.PLATFORM === 'fastify' ? 'fastify' : 'express';
const redis = process.env.REDIS_URL;
const store = redis === undefined ? {} : { store: new RedisStore({ url: redis }) };
const app = await createShop({ platform, meter: metrics?.meter, ...store });
app.enableShutdownHooks();
try {
  await app.listen(port);
} catch (error) {
  const { code } = error as { code?: string };
  console.error(
    code === 'EADDRINUSE'
      ? `Port ${port} is in use. Stop the process that uses it, or choose another port: PORT=3001 npm start`
      : `The shop cannot listen on port ${port}: ${String(error)}`,
  );
  process.exit(1);
}
const { port: bound } = app.getHttpServer().address() as { port: number };
console.log(
  `The shop is open at http://localhost:${bound}/ (${platform}, ${redis === undefined ? 'store in memory' : 'store in Redis'}). Stop it with Ctrl+C.`,
);
if (metricsPort !== null)
  console.log(`Metrics for Prometheus are at http://localhost:${metricsPort}/metrics`);
