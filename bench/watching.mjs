// What it costs to watch limits: HTTP throughput with everything on that is on by default, and the live page looked
// at, against the same build with all of it off. Pairs of rounds in turn, each application in a process of its own.
// Run: npm run build && node bench/watching.mjs
import { fork } from 'node:child_process';
import { get } from 'node:http';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

const PAIRS = 15;
const SECONDS = 3;
const CONNECTIONS = 64;
const CLIENTS = 10_000;

const limits = [{ name: 'all', rate: '1000000/min', key: 'ip' }];
const WAYS = {
  off: [{ limits, statistics: false, logDenials: false }, ''],
  on: [{ limits }, 'admin'],
};

const script = fileURLToPath(new URL('http-app.mjs', import.meta.url));
const requests = Array.from({ length: CLIENTS }, (_, at) => ({
  headers: { 'x-forwarded-for': `10.0.${at >> 8}.${at & 255}` },
}));

async function start(platform, [options, extras]) {
  const child = fork(script, [platform, JSON.stringify(options), extras]);
  const port = await new Promise((resolve) => child.once('message', resolve));
  // Somebody looks at the live page.
  if (extras !== '') get(`http://127.0.0.1:${port}/admin/rate-limits/live`, (response) => response.resume());
  return { url: `http://127.0.0.1:${port}/`, child };
}

async function throughput({ url }) {
  const { requests: sent, non2xx } = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: SECONDS,
    requests,
  });
  if (non2xx > 0) throw new Error(`${non2xx} requests were not answered 200.`);
  return sent.average;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

for (const platform of ['fastify', 'express']) {
  const apps = {};
  for (const [name, way] of Object.entries(WAYS)) apps[name] = await start(platform, way);
  for (const app of Object.values(apps)) await throughput(app);
  const ratios = [];
  const seen = { off: [], on: [] };
  for (let pair = 0; pair < PAIRS; pair++) {
    const order = pair % 2 === 0 ? ['off', 'on'] : ['on', 'off'];
    const found = {};
    for (const name of order) found[name] = await throughput(apps[name]);
    for (const name of order) seen[name].push(found[name]);
    ratios.push(found.on / found.off);
  }
  for (const { child } of Object.values(apps)) child.disconnect();
  const sorted = ratios.toSorted((a, b) => a - b);
  console.log(
    `${platform}: ${Math.round(median(seen.off))} requests a second unwatched, ${Math.round(median(seen.on))} watched;`,
    `share ${median(ratios).toFixed(3)}, from ${sorted[0].toFixed(3)} to ${sorted.at(-1).toFixed(3)} in ${PAIRS} pairs`,
  );
}
