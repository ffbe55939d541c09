// npm test: sets up, Redis and a browser included, builds and runs every test. Arguments go to Jest: npm test -- test/unit
import { setUpBrowser } from './browser.mjs';
import { buildLibrary, buildSample } from './build.mjs';
import { setUpRedis } from './redis.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
setUpRedis();
const CHROMIUM_PATH = setUpBrowser();
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
    ...process.argv.slice(2),
  ],
  { env: { CHROMIUM_PATH } },
);
