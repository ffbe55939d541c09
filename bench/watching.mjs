// What it costs to watch limits: HTTP throughput with everything on that is on by default, and the live page looked
// at, and with a meter of OpenTelemetry besides, against the same build with all of it off. Some requests are denied.
// Rounds in turn, each application in a process of its own.
// Run: npm run build && node bench/watching.mjs [fastify|express]
import { fork } from 'node:child_process';
import { get } from 'node:http';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const ROUNDS = 12;
const SECONDS = 2;
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

/** Microseconds of the processor for a request: with one processor an application answers as many as these leave. */
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
  return ((await processorTime(app)) - before) / sent.total;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const rounded = (value) => value.toFixed(1);

for (const platform of process.argv[2]?.split(',') ?? ['fastify', 'express']) {
  const apps = {};
  for (const [name, way] of Object.entries(WAYS)) apps[name] = { ...(await start(platform, way)), seen: [] };
  for (const app of Object.values(apps)) await measure(app);
  for (let round = 0; round < ROUNDS; round++) {
    for (const app of Object.values(apps)) app.seen.push(await measure(app));
  }
  console.log(
    `${platform}: microseconds of the processor for a request, in ${ROUNDS} rounds of ${SECONDS} s`,
  );
  const { off } = apps;
  for (const [name, { child, seen }] of Object.entries(apps)) {
    child.disconnect();
    // Whatever else the machine does only adds to it, so that the best of all rounds comes nearest.
    const best = Math.min(...seen);
    const throughput = Math.min(...off.seen) / best;
    console.log(
      `  ${name}: best ${rounded(best)}, median ${rounded(median(seen))}, most ${rounded(Math.max(...seen))}; throughput by the best ${throughput.toFixed(3)} of unwatched`,
    );
  }
}
