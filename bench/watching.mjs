// What it costs to watch limits: HTTP throughput with everything on that is on by default, and the live page looked
// at, and with a meter of OpenTelemetry besides, against the same build with all of it off. Some requests are denied.
// Rounds in turn, each application in a process of its own.
// Run: npm run build && node bench/watching.mjs [fastify|express]
import { fork } from 'node:child_process';
import { get } from 'node:http';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

// Many short ones: whatever else the machine does then falls on single pairs.
const ROUNDS = 25;
const SECONDS = 1;
const CONNECTIONS = 64;
const CLIENTS_EACH = 156;

// Each client asks about once a second.
const limits = [{ name: 'all', rate: '40/min', key: 'ip' }];
const WAYS = {
  off: [{ limits, statistics: false, logDenials: false }, ''],
  on: [{ limits }, 'admin'],
  measured: [{ limits }, 'admin,meter'],
};

const script = fileURLToPath(new URL('http-app.mjs', import.meta.url));
let connections = 0;
/** Gives a connection requests of clients of its own: 10,000 on all of them together. */
const setupClient = (client) => {
  const first = (connections++ % CONNECTIONS) * CLIENTS_EACH;
  const addressOf = (at) => `10.0.${(first + at) >> 8}.${(first + at) & 255}`;
  client.setRequests(
    Array.from({ length: CLIENTS_EACH }, (_, at) => ({ headers: { 'x-forwarded-for': addressOf(at) } })),
  );
};

async function start(platform, [options, extras]) {
  const child = fork(script, [platform, JSON.stringify(options), extras]);
  const port = await new Promise((resolve) => child.once('message', resolve));
  // Somebody looks at the live page.
  if (extras !== '') get(`http://127.0.0.1:${port}/admin/rate-limits/live`, (response) => response.resume());
  return { url: `http://127.0.0.1:${port}/`, child };
}

/** Microseconds of the processor that an application has used. */
async function processorTime({ child }) {
  child.send('?');
  const { user, system } = await new Promise((resolve) => child.once('message', resolve));
  return user + system;
}

/** Requests a second, and how many one second of the processor is enough for: what the host withholds does not count. */
async function measure(app) {
  const { url } = app;
  const before = await processorTime(app);
  const { requests: sent, statusCodeStats } = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: SECONDS,
    setupClient,
  });
  const others = Object.keys(statusCodeStats).filter((status) => !['200', '429'].includes(status));
  if (others.length > 0) throw new Error(`There were answers of ${others}.`);
  const used = (await processorTime(app)) - before;
  return { perSecond: sent.average, perProcessorSecond: (sent.total * 1e6) / used };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const spread = (ratios) => {
  const sorted = ratios.toSorted((a, b) => a - b);
  return `${median(sorted).toFixed(3)} (${sorted[0].toFixed(3)} to ${sorted.at(-1).toFixed(3)})`;
};

for (const platform of process.argv[2]?.split(',') ?? ['fastify', 'express']) {
  const apps = {};
  for (const [name, way] of Object.entries(WAYS)) apps[name] = await start(platform, way);
  for (let i = 0; i < 3; i++) for (const app of Object.values(apps)) await measure(app);
  const seen = [];
  const names = Object.keys(WAYS);
  for (let round = 0; round < ROUNDS; round++) {
    const found = {};
    for (const [at] of names.entries()) {
      const name = names[(round + at) % names.length];
      found[name] = await measure(apps[name]);
    }
    seen.push(found);
  }
  for (const { child } of Object.values(apps)) child.disconnect();
  const of = (name, figure) => Math.round(median(seen.map((found) => found[name][figure])));
  console.log(`${platform}, ${ROUNDS} rounds, share of the unwatched application: median (from, to)`);
  for (const name of names.slice(1)) {
    for (const [figure, words] of [
      ['perSecond', 'requests a second'],
      ['perProcessorSecond', 'requests a second of the processor'],
    ]) {
      const ratios = spread(seen.map((found) => found[name][figure] / found.off[figure]));
      console.log(`  ${name}, ${words}: ${of(name, figure)} of ${of('off', figure)}, ${ratios}`);
    }
  }
}
