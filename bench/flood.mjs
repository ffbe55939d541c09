// One client far over its limit: what a denied request costs, and how much of the flood Redis sees.
import { median, ratioOf } from './support/contest.mjs';
import { startApp, underLoad } from './support/http-load.mjs';
import { startRedis } from './support/redis.mjs';
import { atLeast, atMost, table, times, whole } from './support/section.mjs';

const ROUNDS = 9;
const SECONDS = 2;

export default async function measure() {
  const server = await startRedis();
  const settings = { platform: 'fastify', guard: 'ours', rates: [['hour', 100, 3_600_000]] };
  const stores = {
    memory: await startApp(settings),
    Redis: await startApp({ ...settings, redis: server.port }),
  };
  const seen = { memory: [], Redis: [] };
  const commands = [];
  for (const { url } of Object.values(stores)) {
    // Until it is denied.
    for (let at = 0; at < 101; at++) await fetch(url, { headers: { 'x-forwarded-for': '10.0.0.1' } });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, app] of Object.entries(stores)) {
      const before = await server.scripts();
      const { perSecond } = await underLoad(app, SECONDS, { status: [429], single: true });
      seen[name].push(perSecond);
      if (name === 'Redis') commands.push(((await server.scripts()) - before) / SECONDS);
    }
  }
  for (const app of Object.values(stores)) await app.stop();
  await server.stop();
  return {
    title: 'Flood',
    text: `One client far over \`100/hour\` on Fastify, without statistics, ${ROUNDS} rounds of ${SECONDS} s in turn.`,
    tables: [
      table(
        ['store', 'denied requests a second', 'commands of Redis a second'],
        [
          ['memory', whole(median(seen.memory)), '0'],
          ['Redis', whole(median(seen.Redis)), median(commands).toFixed(1)],
        ],
      ),
    ],
    bars: [
      atLeast('Redis, of memory', ratioOf(seen.Redis, seen.memory), 0.9, times),
      atMost('commands of Redis a second', median(commands), 2, (value) => value.toFixed(1)),
    ],
  };
}
