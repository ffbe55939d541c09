// npm test: sets up, builds and runs every test. Arguments go to Jest: npm test -- test/unit
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
const { build } = await import('./build.mjs');
await build();
await run(process.execPath, [
  '--experimental-vm-modules',
  '--no-warnings',
  'node_modules/jest/bin/jest.js',
  ...process.argv.slice(2),
]);
