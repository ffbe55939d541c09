import { application, compile, install, nest, packedOnce, run, versionOf } from '../support/packed.js';
import { startRedis } from '../support/redis.js';

const packed = packedOnce();

const ANSWERS = {
  statuses: [200, 200, 429, 200, 200, 200, 429, 200],
  guarded: [200, 200, 429, 200, 403],
  counted: [200, 200, 200, 403, 403, 429],
  left: { remaining: 1 },
  admin: [403, 20],
  mistake: 'bad-rate',
  exception: 'function',
  denied: {
    status: 429,
    headers: {
      'retry-after': '900',
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '0',
      'ratelimit-policy': '"burst";q=60;w=60, "login";q=2;w=900',
      ratelimit: '"burst";r=58;t=60, "login";r=0;t=900',
    },
    body: {
      error: 'rate_limit_exceeded',
      details: { throttle_type: 'login', retry_after_seconds: 900 },
    },
  },
};

const PLATFORMS = ['express', 'fastify'] as const;

describe.each([11, 12])('on Nest %d', (major) => {
  let app: string;
  beforeAll(async () => {
    app = await application(packed, nest(major, 'platform-express', 'platform-fastify'));
  });

  test.each(PLATFORMS)('in memory on %s, as ES modules and as CommonJS', async (platform) => {
    for (const file of await compile(app, 'app')) {
      const said = JSON.parse(await run(app, process.execPath, '--no-warnings', file, platform));
      expect(said).toMatchObject(ANSWERS);
      expect(said.contract).toBeGreaterThan(40);
    }
  });

  test.each([5, 6])('on Redis by ioredis %d, in both forms', async (ioredis) => {
    const redis = await startRedis();
    await install(app, `ioredis@${ioredis}`);
    expect(await versionOf(app, 'ioredis')).toMatch(new RegExp(`^${ioredis}\\.`));
    for (const file of await compile(app, 'redis')) {
      for (const platform of PLATFORMS) {
        const said = await run(app, process.execPath, '--no-warnings', file, redis.url, platform);
        const { contract, ...answers } = JSON.parse(said);
        expect(contract).toBeGreaterThan(40);
        expect(answers).toEqual({
          statuses: [200, 200, 429],
          // Another tier has another limit in the same bucket.
          tiers: [200, 429, 200, 429],
        });
      }
    }
    await redis.stop();
  });

  test('a gateway is limited, in both forms', async () => {
    const packages = ['websockets', 'platform-socket.io'].map((name) => `@nestjs/${name}@${major}`);
    await install(app, ...packages, 'socket.io-client');
    for (const file of await compile(app, 'gateway')) {
      const events = JSON.parse(await run(app, process.execPath, '--no-warnings', file));
      expect(events).toEqual(['said', 'said', 'exception']);
    }
  });
});
