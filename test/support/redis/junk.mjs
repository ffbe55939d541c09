// A process of a fleet that meets a million clients of junk. It is one of its own since Jest, in whose processes each
// look-up of a global takes long, would need many seconds for it, and since it measures its memory.
// Arguments: the URL of Redis, and the prefix of keys.
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RateLimiter, RateLimitStats } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { serve } from '../serve.mjs';

const [, , url, prefix] = process.argv;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
function heapBytes() {
  collect();
  return process.memoryUsage().heapUsed;
}

const store = new RedisStore({ url, prefix });
await store.open();
const stats = new RateLimitStats({ shared: store.counters });
const route = 'GET /';

const limiter = new RateLimiter({ scopes: { page: '1/hour' } });
const ask = () => limiter.consume({ scope: 'page', identity: 'user:1' });
await ask();
const denied = await ask();

async function junk(from, to) {
  for (let at = from; at < to; at++) {
    stats.record(route, denied, `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, `user:stranger-${at}`);
    if (at % 50 === 0) stats.record(route, denied, '203.0.113.1', 'user:regular');
    // Lets the timer run.
    if (at % 20_000 === 0) await turn();
  }
}

let before = 0;
serve({
  async count() {
    await junk(0, 20_000);
    before = heapBytes();
    await junk(20_000, 1_000_000);
  },
  /** The growth of its heap since the first of them. */
  grownBytes: () => heapBytes() - before,
});
