// What guards leave of an application's throughput, on both platforms, with both stores.
import { median, ratioOf } from './support/contest.mjs';
import { CONNECTIONS, startApp, underLoad } from './support/http-load.mjs';
import { startRedis } from './support/redis.mjs';
import { atLeast, table, times, whole } from './support/section.mjs';

const ROUNDS = 11;
const SECONDS = 1;
/** Nobody is denied. */
const RATES = [
  ['hour', 1_000_000, 3_600_000],
  ['two-hours', 1_000_000, 7_200_000],
  ['day', 1_000_000, 86_400_000],
];

const guarded = (guard, limits) => ({ guard, rates: RATES.slice(0, limits) });
const APPS = {
  'no guard': guarded('none', 0),
  'a guard that does nothing': guarded('empty', 0),
  'one limit': guarded('ours', 1),
  'two limits': guarded('ours', 2),
  'three limits': guarded('ours', 3),
  '@nestjs/throttler, one limit': guarded('throttler', 1),
  '@nestjs/throttler, two limits': guarded('throttler', 2),
  '@nestjs/throttler, three limits': guarded('throttler', 3),
};
const OF_PLATFORM = {
  fastify: { '@fastify/rate-limit, one limit': guarded('fastify-rate-limit', 1) },
  express: { 'express-rate-limit, one limit': guarded('express-rate-limit', 1) },
};

/** Rounds in turn: by name, answers a second and microseconds of the processor for one. */
async function rounds(platform, redis) {
  const apps = {};
  for (const [name, app] of Object.entries({ ...APPS, ...OF_PLATFORM[platform] })) {
    apps[name] = await startApp({ platform, redis, ...app });
    await underLoad(apps[name], SECONDS);
  }
  const seen = Object.fromEntries(Object.keys(apps).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, app] of Object.entries(apps)) seen[name].push(await underLoad(app, SECONDS));
  }
  for (const app of Object.values(apps)) await app.stop();
  return seen;
}

const shares = (of, to) => of.map(({ perSecond }, round) => perSecond / to[round].perSecond);

function lines(seen) {
  const bare = seen['no guard'];
  return Object.entries(seen).map(([name, all]) => {
    const share = shares(all, bare);
    return [
      name,
      whole(median(all.map(({ perSecond }) => perSecond))),
      `${median(share).toFixed(2)} (${Math.min(...share).toFixed(2)} to ${Math.max(...share).toFixed(2)})`,
      median(all.map(({ usEach }) => usEach)).toFixed(1),
      ratioOf(
        bare.map(({ usEach }) => usEach),
        all.map(({ usEach }) => usEach),
      ).toFixed(2),
    ];
  });
}

export default async function measure() {
  const server = await startRedis();
  const seen = {};
  for (const [store, redis] of [
    ['memory', undefined],
    ['Redis', server.port],
  ]) {
    for (const platform of ['fastify', 'express']) {
      seen[`${store}, ${platform}`] = await rounds(platform, redis);
    }
  }
  await server.stop();
  const throughput = (place, name) => seen[place][name].map(({ perSecond }) => perSecond);
  const ratio = (place, of, to) => ratioOf(throughput(place, of), throughput(place, to));
  const share = (name) => name.toFixed(2);
  const bars = [];
  for (const [store, one, three] of [
    ['memory', 0.8, 0.7],
    ['Redis', 0.58, 0.48],
  ]) {
    const place = `${store}, fastify`;
    bars.push(
      atLeast(`${place}: one limit, of no guard`, ratio(place, 'one limit', 'no guard'), one, share),
      atLeast(`${place}: three limits, of no guard`, ratio(place, 'three limits', 'no guard'), three, share),
    );
  }
  for (const platform of ['fastify', 'express']) {
    const [memory, redis] = [`memory, ${platform}`, `Redis, ${platform}`];
    for (const [place, limits, bar] of [
      [memory, 'one limit', 1.3],
      [redis, 'one limit', 1.35],
      [redis, 'two limits', 1.7],
    ]) {
      const peer = `@nestjs/throttler, ${limits}`;
      bars.push(atLeast(`${place}: ${limits}, of ${peer}`, ratio(place, limits, peer), bar, times));
    }
  }
  return {
    title: 'HTTP',
    text: `${CONNECTIONS} connections, 10,000 addresses through a trusted proxy's header, all default headers, ${ROUNDS} rounds of a second in turn. Shares are medians of the ratios to the application without a guard in the same round, and the lowest and highest of them. Load and application share the machine; the time of the processor is the application's alone.`,
    tables: Object.entries(seen).map(([place, all]) =>
      table(
        [
          place,
          'answers a second',
          'share of no guard',
          'microseconds of the processor each',
          'share by these',
        ],
        lines(all),
      ),
    ),
    bars,
  };
}
