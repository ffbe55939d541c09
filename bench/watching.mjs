// What it costs to watch limits: HTTP throughput with statistics, the log of denials and the live page looked at, and
// with a meter of OpenTelemetry besides, against the same build with all of it off. Some requests are denied.
// Run: npm run build && node bench/watching.mjs [fastify|express]
import { get } from 'node:http';
import { median } from './support/contest.mjs';
import { startApp, underLoad } from './support/http-load.mjs';

const ROUNDS = 12;
const SECONDS = 2;

// Each client asks about once a second.
const ours = { guard: 'ours', rates: [['all', 40, 60_000]] };
const APPS = {
  off: { ...ours, options: { logDenials: false } },
  on: { ...ours, admin: true },
  measured: { ...ours, admin: true, meter: true },
};

const rounded = (value) => value.toFixed(1);

for (const platform of process.argv[2]?.split(',') ?? ['fastify', 'express']) {
  const apps = {};
  const seen = {};
  for (const [name, settings] of Object.entries(APPS)) {
    apps[name] = await startApp({ platform, ...settings });
    seen[name] = [];
    // Somebody looks at the live page.
    if (settings.admin) {
      get(`${apps[name].url}admin/rate-limits/live`, (response) => response.resume()).on(
        'error',
        () => undefined,
      );
    }
    await underLoad(apps[name], SECONDS, { status: [200, 429] });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, app] of Object.entries(apps)) {
      seen[name].push((await underLoad(app, SECONDS, { status: [200, 429] })).usEach);
    }
  }
  console.log(
    `${platform}: microseconds of the processor for a request, in ${ROUNDS} rounds of ${SECONDS} s`,
  );
  for (const [name, all] of Object.entries(seen)) {
    await apps[name].stop();
    // Whatever else the machine does only adds to it, so that the best of all rounds comes nearest.
    const best = Math.min(...all);
    const throughput = Math.min(...seen.off) / best;
    console.log(
      `  ${name}: best ${rounded(best)}, median ${rounded(median(all))}, most ${rounded(Math.max(...all))}; throughput by the best ${throughput.toFixed(3)} of unwatched`,
    );
  }
}
