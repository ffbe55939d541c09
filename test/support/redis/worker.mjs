// A process of a fleet: decides as often as it is told, and tells what was admitted. For tests that share
// one Redis among several processes.
import { RateLimiter } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';

process.once('message', async ({ url, prefix, scopes, identities, decisions, atOnce, costs }) => {
  const store = new RedisStore({ url, prefix });
  // Shows only what the store admits: it makes every decision, however busy the machine is.
  const limiter = new RateLimiter({ scopes, store, timeoutMs: 60_000 });
  const names = Object.keys(scopes);
  const admitted = [];
  let [asked, denied] = [0, 0];
  const decide = async () => {
    while (asked < decisions) {
      const scope = names[asked % names.length];
      const identity = `user:${Math.floor(asked / names.length) % identities}`;
      asked++;
      const outcome = await limiter.consume({ scope, identity, cost: costs[asked % costs.length] });
      if (!outcome.allowed) denied++;
      else admitted.push([scope, identity, outcome.decidedBy.atMs, outcome.decidedBy.charge.cost]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, decide));
  store.close();
  process.send({ admitted, denied }, () => process.disconnect());
});
process.send('ready');
