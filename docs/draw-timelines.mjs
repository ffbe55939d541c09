// Draws the timeline of each algorithm from the golden timelines of the tests.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as vega from 'vega';
import { compile } from 'vega-lite';
import { definePolicy } from '../dist/esm/core/policy.js';
import { MemoryStore } from '../dist/esm/index.js';
import { TestClock } from '../dist/esm/testing/index.js';

const DRAWN = ['sliding-window', 'fixed-window', 'token-bucket'];
/** Number of samples of the used units per timeline. */
const SAMPLES = 400;
/** Height of denied requests above the limit, in units; they alternate, so that they do not overlap. */
const DENIED_HEIGHTS = [0.4, 0.8, 1.2];

const { timelines } = JSON.parse(
  readFileSync(new URL('../test/golden/timelines.json', import.meta.url), 'utf8'),
);

/** Returns when the last denied request may be retried. */
const lastRetryMs = ({ steps }) => Math.max(...steps.map(({ at, expect }) => at + expect.a[3]));

/** Returns the used units at each sample until `endMs`, and the result of each request. */
function replay({ limits: { a: line }, steps }, endMs) {
  const clock = new TestClock(0);
  const store = new MemoryStore({ clock });
  const policy = definePolicy({
    name: 'a',
    scope: 'drawn',
    rate: { limit: line.limit, windowMs: line.windowMs },
    algorithm: line.algorithm,
    burst: line.burst,
  });
  const charge = (cost) => [{ policy, identity: 'user:1', cost, shadow: false, blockDurationsMs: [] }];
  const usedNow = () => policy.capacity - store.peek(charge(1)).decisions[0].remaining;
  const moments = new Set(
    Array.from({ length: SAMPLES + 1 }, (_, sample) => Math.round((sample * endMs) / SAMPLES)),
  );
  for (const { at } of steps) moments.add(at);
  const used = [];
  const requests = [];
  let nowMs = 0;
  let denied = 0;
  for (const atMs of [...moments].sort((a, b) => a - b)) {
    clock.advance(atMs - nowMs);
    nowMs = atMs;
    for (const { at } of steps) {
      if (at !== atMs) continue;
      const [{ allowed, retryAfterMs }] = store.consume(charge(1)).decisions;
      const seconds = atMs / 1_000;
      requests.push({
        seconds,
        backAt: seconds + retryAfterMs / 1_000,
        answer: allowed ? 'admitted' : 'denied',
        level: allowed ? usedNow() : policy.capacity + DENIED_HEIGHTS[denied++ % DENIED_HEIGHTS.length],
      });
    }
    const now = usedNow();
    if (now !== used.at(-1)?.used || atMs === endMs) used.push({ seconds: atMs / 1_000, used: now });
  }
  return { used, requests, capacity: policy.capacity, line };
}

const seconds = { field: 'seconds', type: 'quantitative', title: 'seconds' };
const COLOURS = { admitted: '#1a7f37', denied: '#cf222e' };

function drawing({ used, requests, capacity, line }) {
  const denied = requests.filter(({ answer }) => answer === 'denied');
  const burst = line.burst === undefined ? '' : `, burst ${line.burst}`;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 12,
    width: 640,
    height: 180,
    title: `${line.algorithm}, ${line.limit} in ${line.windowMs / 1_000} s${burst}`,
    layer: [
      {
        data: { values: used },
        mark: { type: 'area', interpolate: 'step-after', color: '#b6d4fe', line: { color: '#0a58ca' } },
        encoding: { x: seconds, y: { field: 'used', type: 'quantitative', title: 'units used' } },
      },
      {
        data: { values: [{ capacity }] },
        mark: { type: 'rule', strokeDash: [5, 4], color: '#57606a' },
        encoding: {
          y: { field: 'capacity', type: 'quantitative', scale: { domain: [0, capacity + 1.5] } },
        },
      },
      {
        data: { values: denied },
        mark: { type: 'rule', color: COLOURS.denied, strokeDash: [1, 3], strokeWidth: 2 },
        encoding: { x: seconds, x2: { field: 'backAt' }, y: { field: 'level', type: 'quantitative' } },
      },
      {
        data: { values: requests },
        mark: { type: 'point', filled: true, size: 90, opacity: 1 },
        encoding: {
          x: seconds,
          y: { field: 'level', type: 'quantitative', axis: { tickMinStep: 1, format: 'd' } },
          color: {
            field: 'answer',
            type: 'nominal',
            title: null,
            scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
          },
          shape: {
            field: 'answer',
            type: 'nominal',
            title: null,
            scale: { domain: Object.keys(COLOURS), range: ['circle', 'cross'] },
          },
        },
      },
    ],
  };
}

mkdirSync(new URL('images/', import.meta.url), { recursive: true });
const chosen = DRAWN.map((algorithm) => {
  const name = `the same twelve requests under ${algorithm}`;
  const timeline = timelines.find((one) => one.name === name);
  if (timeline === undefined) throw new Error(`There is no golden timeline "${name}" any more.`);
  return timeline;
});
// All cover the same time, so that they can be compared.
const endMs = Math.max(...chosen.map(lastRetryMs)) + 1_000;
for (const [at, timeline] of chosen.entries()) {
  const view = new vega.View(vega.parse(compile(drawing(replay(timeline, endMs))).spec), {
    renderer: 'none',
  });
  writeFileSync(new URL(`images/${DRAWN[at]}.svg`, import.meta.url), `${await view.toSVG()}\n`);
}
