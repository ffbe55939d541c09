// What a circuit breaker costs a call that succeeds: ours, as the store uses it, beside two from npm.
// Run: npm run build && node bench/breakers.mjs
import { ConsecutiveBreaker, circuitBreaker, ExponentialBackoff, handleAll } from 'cockatiel';
import Opossum from 'opossum';
import { steadyClock } from '../dist/esm/core/clock.js';
import { CircuitBreaker } from '../dist/esm/resilience/circuit-breaker.js';

const ROUNDS = 9;
const CALLS = 50_000;
const AT_ONCE = 100;

const call = async () => 1;

const target = { probe: call, onStateChange: () => undefined };
const ours = new CircuitBreaker({ threshold: 5, initialBackoffMs: 100 }, steadyClock, target);
const viaOurs = () => {
  if (ours.state !== 'closed') return Promise.reject(new Error('open'));
  return call().then((value) => {
    ours.onSuccess(steadyClock.now());
    return value;
  });
};

const breaker = new ConsecutiveBreaker(5);
const cockatiel = circuitBreaker(handleAll, { halfOpenAfter: new ExponentialBackoff(), breaker });
const opossum = new Opossum(call, { timeout: false });

const ways = {
  'no breaker': call,
  ours: viaOurs,
  cockatiel: () => cockatiel.execute(call),
  opossum: () => opossum.fire(),
};

const nsOf = async (way) => {
  const start = performance.now();
  for (let i = 0; i < CALLS; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, way));
  return ((performance.now() - start) * 1e6) / CALLS;
};

const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, way] of Object.entries(ways)) {
    const ns = await nsOf(way);
    // The first round warms up.
    if (round > 0) times[name].push(ns);
  }
}
const median = (all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)];
const bare = median(times['no breaker']);
console.table(
  Object.fromEntries(
    Object.entries(times).map(([name, all]) => [
      name,
      { 'ns a call': Math.round(median(all)), 'of a bare call': (median(all) / bare).toFixed(1) },
    ]),
  ),
);
opossum.shutdown();
