import { join } from 'node:path';
import { application, compile, install, nest, packedOnce, run } from '../support/packed.js';
import { startRedis } from '../support/redis.js';

const packed = packedOnce();

/** The oldest Node that is supported, and the majors that are maintained. */
const VERSIONS = ['20.19.0', '22', '24'];

describe.each([11, 12])('on Nest %d', (major) => {
  let app: string;
  beforeAll(async () => {
    app = await application(packed, [...nest(major, 'platform-express', 'platform-fastify'), 'ioredis']);
  });

  test.each(VERSIONS)('it runs on Node %s, in both forms', async (version) => {
    const name = `node-${process.platform}-${process.arch}`;
    await install(app, '--force', `${name}@${version}`);
    const node = join(app, 'node_modules', name, 'bin', 'node');
    expect(await run(app, node, '--version')).toMatch(new RegExp(`^v${version.replaceAll('.', '\\.')}\\b`));
    const redis = await startRedis();
    for (const platform of ['express', 'fastify']) {
      for (const file of await compile(app, 'app')) {
        const { statuses, contract } = JSON.parse(await run(app, node, '--no-warnings', file, platform));
        expect(statuses).toEqual([200, 200, 429, 200, 200, 200, 429, 200]);
        expect(contract).toBeGreaterThan(40);
      }
      for (const file of await compile(app, 'redis')) {
        const said = await run(app, node, '--no-warnings', file, redis.url, platform);
        expect(JSON.parse(said)).toMatchObject({ statuses: [200, 200, 429], tiers: [200, 429, 200, 429] });
      }
    }
    await redis.stop();
  });
});
