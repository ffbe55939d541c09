// What guards leave of an application's throughput, on both platforms, with both stores.
import { median } from './support/contest.mjs';
import { CONNECTIONS, startApp, underLoad } from './support/http-load.mjs';
import { startRedis } from './support/redis.mjs';
import { atLeast, table, times, whole } from './support/section.mjs';

const ROUNDS = 9;
const SECONDS = 1;
const WARMING_SECONDS = 2;
/** Nobody is denied. */
const RATES = [
  ['hour', 1_000_000, 3_600_000],
  ['two-hours', 1_000_000, 7_200_000],
  ['day', 1_000_000, 86_400_000],
];

const guarded = (guard, limits) => ({ guard, rates: RATES.slice(0, limits) });
const BARE = 'no guard';
const PEERS = {
  fastify: { '@fastify/rate-limit, one limit': guarded('fastify-rate-limit', 1) },
  express: { 'express-rate-limit, one limit': guarded('express-rate-limit', 1) },
};

/**
 * Applications that are compared with each other, with the one without a guard: few at a time, since one that has to wait
 * for many others finds the processor's caches, and its memory, taken.
 */
const groupsOn = (platform) => [
  { 'a guard that does nothing': guarded('empty', 0), ...PEERS[platform] },
  { 'one limit': guarded('ours', 1), '@nestjs/throttler, one limit': guarded('throttler', 1) },
  { 'two limits': guarded('ours', 2), '@nestjs/throttler, two limits': guarded('throttler', 2) },
  { 'three limits': guarded('ours', 3), '@nestjs/throttler, three limits': guarded('throttler', 3) },
];

/** Rounds in turn of a group: of each application, what it did and what the one without a guard did in the same round. */
async function rounds(group, platform, redis) {
  const apps = {};
  for (const [name, app] of Object.entries({ [BARE]: guarded('none', 0), ...group })) {
    apps[name] = await startApp({ platform, redis, ...app });
    await underLoad(apps[name], WARMING_SECONDS);
  }
  const seen = Object.fromEntries(Object.keys(group).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    const own = {};
    for (const [name, app] of Object.entries(apps)) own[name] = await underLoad(app, SECONDS);
    for (const [name, all] of Object.entries(seen)) all.push({ own: own[name], bare: own[BARE] });
  }
  for (const app of Object.values(apps)) await app.stop();
  return seen;
}

async function allRounds(platform, redis) {
  const seen = {};
  for (const group of groupsOn(platform)) Object.assign(seen, await rounds(group, platform, redis));
  return seen;
}

const shareOf = (pairs) => pairs.map(({ own, bare }) => own.perSecond / bare.perSecond);
const spread = (ratios) => `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;

function lines(seen) {
  const all = Object.values(seen).flatMap((pairs) => pairs.map(({ bare }) => bare));
  const figures = (of) => [
    whole(median(of.map(({ perSecond }) => perSecond))),
    median(of.map(({ usEach }) => usEach)).toFixed(1),
  ];
  const [perSecond, usEach] = figures(all);
  return [
    [BARE, perSecond, '1.00', usEach, '1.00'],
    ...Object.entries(seen).map(([name, pairs]) => {
      const share = shareOf(pairs);
      const [answers, us] = figures(pairs.map(({ own }) => own));
      const byTime = median(pairs.map(({ own, bare }) => bare.usEach / own.usEach));
      return [name, answers, `${median(share).toFixed(2)} (${spread(share)})`, us, byTime.toFixed(2)];
    }),
  ];
}

export default async function measure() {
  const server = await startRedis();
  const seen = {};
  for (const [store, redis] of [
    ['memory', undefined],
    ['Redis', server.port],
  ]) {
    for (const platform of ['fastify', 'express']) {
      seen[`${store}, ${platform}`] = await allRounds(platform, redis);
    }
  }
  await server.stop();
  const bars = [];
  const bar = (what, ratios, wanted, show) =>
    bars.push(atLeast(`${what} (${spread(ratios)})`, median(ratios), wanted, show));
  for (const [store, one, three] of [
    ['memory', 0.8, 0.7],
    ['Redis', 0.58, 0.48],
  ]) {
    const place = `${store}, fastify`;
    const show = (share) => share.toFixed(2);
    bar(`${place}: one limit, of no guard`, shareOf(seen[place]['one limit']), one, show);
    bar(`${place}: three limits, of no guard`, shareOf(seen[place]['three limits']), three, show);
  }
  for (const platform of ['fastify', 'express']) {
    const [memory, redis] = [`memory, ${platform}`, `Redis, ${platform}`];
    for (const [place, limits, wanted] of [
      [memory, 'one limit', 1.3],
      [redis, 'one limit', 1.35],
      [redis, 'two limits', 1.7],
    ]) {
      const peer = `@nestjs/throttler, ${limits}`;
      const theirs = seen[place][peer];
      const ratios = seen[place][limits].map(({ own }, round) => own.perSecond / theirs[round].own.perSecond);
      bar(`${place}: ${limits}, of ${peer}`, ratios, wanted, times);
    }
  }
  return {
    title: 'HTTP',
    text: `${CONNECTIONS} connections, 10,000 addresses through a trusted proxy's header, all default headers, no statistics, ${ROUNDS} rounds in turn of a second for each, three applications at a time: one without a guard and two that are compared. Shares are medians of the ratios within a round, and the lowest and highest of them. Load and application share the machine; the time of the processor is the application's alone, its system calls included.`,
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
