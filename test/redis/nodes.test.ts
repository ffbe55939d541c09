import { Cluster } from 'ioredis';
import { RateLimit, RateLimiter } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { routes, serve } from '../support/app.js';
import { startCluster } from '../support/redis.js';
import { until } from '../support/until.js';

const Shop = routes({
  '/many': RateLimit({ name: 'many', rate: '100000/hour' }),
  '/both': [
    RateLimit({ name: 'address', rate: '100000/hour' }),
    RateLimit({ name: 'all', rate: '100000/hour', key: 'header:x-tenant' }),
  ],
});

test('A38 of a Cluster that has lost a node, callers of the others meet the store as ever', async () => {
  // Else the others, too, stop a second after the node is gone.
  const config = ['cluster-require-full-coverage no'];
  const cluster = await startCluster({ replicasPerMaster: 0, config });
  const [first] = cluster.nodes;
  const client = new Cluster([{ host: first?.host, port: first?.port }], {
    retryDelayOnFailover: 0,
    redisOptions: { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 },
  });
  client.on('error', () => undefined);
  const app = await serve('fastify', {
    controllers: [Shop],
    // No answer is late, however busy the machine is: a node that is gone refuses at once.
    options: { store: new RedisStore(client), secret: 'a secret', timeoutMs: 60_000 },
  });
  const limiter = app.app.get(RateLimiter);
  // Callers by the node that keeps them.
  const callers = new Map<number, string>();
  for (let i = 1; callers.size < 3; i++) {
    const { port } = await cluster.ownerOf(`ratelimit:{ip:198.51.100.${i}}`);
    callers.set(port, `198.51.100.${i}`);
  }
  const [lost, ...others] = [...callers];
  for (const from of callers.values()) expect((await app.get('/many', { from })).status).toBe(200);
  expect(limiter.health()).toMatchObject({ status: 'up', degraded: 0 });

  const node = cluster.nodes.find(({ port }) => port === lost?.[0]);
  await node?.kill();
  await until('its breaker opens', async () => {
    expect((await app.get('/many', { from: lost?.[1] ?? '' })).status).toBe(200);
    return limiter.health().status === 'degraded';
  });
  const { shards, degraded } = limiter.health();
  const open = shards.filter(({ breaker }) => breaker !== 'closed');
  expect(open.map(({ shard }) => shard)).toEqual([`127.0.0.1:${lost?.[0]}`]);
  for (let i = 0; i < 20; i++) {
    for (const [, from] of others) {
      const { status, headers } = await app.get('/many', { from });
      expect([status, headers.get('x-ratelimit-remaining')]).toEqual([200, String(99_999 - 1 - i)]);
    }
  }
  // Those of the lost node are decided here.
  expect(limiter.health().degraded).toBe(degraded);
  for (let i = 0; i < 3; i++) expect((await app.get('/many', { from: lost?.[1] ?? '' })).status).toBe(200);
  expect(limiter.health().degraded).toBe(degraded + 3);

  await node?.start();
  await until('the node decides again', async () => limiter.health().status === 'up');
  expect((await app.get('/many', { from: lost?.[1] ?? '' })).status).toBe(200);
  await app.close();
  client.disconnect();
});
