// How much longer answers take behind a guard, while the application has time to spare.
import { median } from './support/contest.mjs';
import { startApp, underLoad } from './support/http-load.mjs';
import { startRedis } from './support/redis.mjs';
import { table, whole } from './support/section.mjs';

const ROUNDS = 9;
const SECONDS = 2;
const rates = [['hour', 1_000_000, 3_600_000]];
const APPS = {
  'no guard': { guard: 'none' },
  'one limit': { guard: 'ours', rates },
  '@nestjs/throttler with @nest-lab': { guard: 'throttler', rates },
  '@fastify/rate-limit': { guard: 'fastify-rate-limit', rates },
};

export default async function measure() {
  const server = await startRedis();
  const apps = {};
  const seen = {};
  for (const [name, app] of Object.entries(APPS)) {
    apps[name] = await startApp({ platform: 'fastify', redis: server.port, ...app });
    await underLoad(apps[name], SECONDS);
    seen[name] = [];
  }
  const { perSecond } = await underLoad(apps['@nestjs/throttler with @nest-lab'], SECONDS);
  const half = Math.round(perSecond / 2);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, app] of Object.entries(apps)) {
      seen[name].push((await underLoad(app, SECONDS, { perSecond: half })).latencyMs);
    }
  }
  for (const app of Object.values(apps)) await app.stop();
  await server.stop();
  const added = (name, which) =>
    median(seen[name].map((latency, round) => latency[which] - seen['no guard'][round][which]));
  return {
    title: 'Latency',
    text: `Fastify, Redis on loopback, without statistics, ${whole(half)} requests a second: half of what the slowest can take. Medians of ${ROUNDS} rounds in turn; what is added is the median of the differences to the application without a guard in the same round.`,
    tables: [
      table(
        ['', 'p50', 'p99', 'added p50', 'added p99'],
        Object.entries(seen).map(([name, all]) => [
          name,
          ...['p50', 'p99'].map((which) => `${median(all.map((one) => one[which])).toFixed(2)} ms`),
          ...['p50', 'p99'].map((which) => `${added(name, which).toFixed(2)} ms`),
        ]),
      ),
    ],
  };
}
