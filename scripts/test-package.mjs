// npm run test:package: installs the packed library into small applications, on every Nest, Redis client, test runner,
// compiler and Node that it is made for. `npm test` takes a part of it.
import { buildLibrary } from './build.mjs';
import { setUpRedis } from './redis.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
setUpRedis();
await buildLibrary();
await run(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    'node_modules/jest/bin/jest.js',
    'test/package',
    ...process.argv.slice(2),
  ],
  { env: { PACKAGE_MATRIX: 'complete' } },
);
