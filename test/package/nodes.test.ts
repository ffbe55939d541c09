import { join } from 'node:path';
import { application, compile, install, nest, type Packed, pack, run } from '../support/packed.js';

let packed: Packed;
beforeAll(async () => {
  packed = await pack();
}, 120_000);

/** The oldest Node that is supported, and the majors that are maintained. */
const VERSIONS = ['20.19.0', '22', '24'];

describe.each([11, 12])('on Nest %d', (major) => {
  let app: string;
  beforeAll(async () => {
    app = await application(packed, nest(major, 'platform-express', 'platform-fastify'));
  }, 240_000);

  test.each(VERSIONS)(
    'it runs on Node %s, in both forms',
    async (version) => {
      const name = `node-${process.platform}-${process.arch}`;
      await install(app, '--force', `${name}@${version}`);
      const node = join(app, 'node_modules', name, 'bin', 'node');
      expect(await run(app, node, '--version')).toMatch(new RegExp(`^v${version.replaceAll('.', '\\.')}\\b`));
      for (const file of await compile(app, 'app')) {
        const { statuses } = JSON.parse(await run(app, node, '--no-warnings', file, 'fastify'));
        expect(statuses).toEqual([200, 200, 429, 200, 200, 200, 429, 200]);
      }
    },
    240_000,
  );
});
