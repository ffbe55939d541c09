// Applications in processes of their own, and the load that they are put under.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const file = fileURLToPath(new URL('http-app.mjs', import.meta.url));

/** Starts an application of `http-app.mjs`. */
export async function startApp(settings) {
  const child = fork(file, [JSON.stringify(settings)], { execArgv: [] });
  const [port] = await once(child, 'message');
  return {
    url: `http://127.0.0.1:${port}/`,
    /** Microseconds of the processor that it has used. */
    async processorTime() {
      child.send('?');
      const [{ user, system }] = await once(child, 'message');
      return user + system;
    },
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

export const CONNECTIONS = 64;
const ADDRESSES = 10_000;

let connections = 0;
/**
 * Has each connection speak for addresses of its own, as a proxy does: 10,000 on all of them together, which a slow
 * application is asked for in several rounds.
 */
function speakForMany(client) {
  const each = Math.ceil(ADDRESSES / CONNECTIONS);
  const round = Math.floor(connections / CONNECTIONS);
  const first = (connections++ % CONNECTIONS) * each;
  const addressOf = (at) => `10.0.${at >> 8}.${at & 255}`;
  client.setRequests(
    Array.from({ length: each }, (_, at) => ({
      headers: { 'x-forwarded-for': addressOf(first + ((at + 37 * round) % each)) },
    })),
  );
}

/** Speaks for one address alone. */
function speakForOne(client) {
  client.setRequests([{ headers: { 'x-forwarded-for': '10.0.0.1' } }]);
}

const percentile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;

/**
 * Puts an application under load: as much as it can take, or `perSecond` requests.
 *
 * @returns Answers a second, microseconds of the processor for one, and in how many milliseconds half of them, and 99
 *   of 100, had come.
 */
export async function underLoad(app, seconds, { status = [200], perSecond, single = false } = {}) {
  const before = await app.processorTime();
  const took = [];
  const load = autocannon({
    url: app.url,
    connections: CONNECTIONS,
    duration: seconds,
    setupClient: single ? speakForOne : speakForMany,
    ...(perSecond && { overallRate: perSecond }),
  });
  if (perSecond) load.on('response', (_client, _status, _bytes, ms) => took.push(ms));
  const result = await load;
  const used = (await app.processorTime()) - before;
  const others = Object.keys(result.statusCodeStats).filter((other) => !status.includes(Number(other)));
  if (others.length > 0 || result.errors > 0) throw new Error(`There were answers of ${others}, or none.`);
  const answers = result.requests.total;
  took.sort((a, b) => a - b);
  return {
    perSecond: answers / result.duration,
    usEach: used / answers,
    latencyMs: { p50: percentile(took, 0.5), p99: percentile(took, 0.99) },
  };
}
