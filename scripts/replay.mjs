// npm run replay -- access.log: sends a log through the sample application and prints what was denied.
import { buildLibrary, buildSample } from './build.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
await buildLibrary();
await buildSample();
await run(process.execPath, ['sample-app/dist/replay.js', ...process.argv.slice(2)]);
