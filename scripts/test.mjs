// npm test: sets up, builds and runs the tests. `npm run test:all` runs those that take longer: see test/README.md.
// Arguments go to Jest: npm test -- test/unit
import { browser, browserPath } from './browser.mjs';
import { buildLibrary, buildSample } from './build.mjs';
import { redis } from './redis.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

const [isAll, args] =
  process.argv[2] === '--all' ? [true, process.argv.slice(3)] : [false, process.argv.slice(2)];

await setUp(redis, ...(isAll ? [browser] : []));
await buildLibrary();
await buildSample();
await run(
  process.execPath,
  [
    // Nest 12 is ESM only, and a test of memory asks for collections.
    '--experimental-vm-modules',
    '--expose-gc',
    '--no-warnings',
    'node_modules/jest/bin/jest.js',
    ...args,
  ],
  { env: isAll ? { TEST_SUITES: 'all', CHROMIUM_PATH: browserPath() } : {} },
);
