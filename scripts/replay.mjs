// npm run replay -- access.log: sends a log through the sample application and prints what was denied.
import { resolve } from 'node:path';
import { buildLibrary, buildSample } from './build.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
await buildLibrary();
await buildSample();
const [file, ...rest] = process.argv.slice(2);
await run(process.execPath, [
  'sample-app/dist/replay.js',
  ...(file === undefined ? [] : [resolve(process.env.INIT_CWD ?? '.', file)]),
  ...rest,
]);
