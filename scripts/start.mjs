// npm start: sets up, builds and serves the sample application.
import { buildLibrary, buildSample } from './build.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
await buildLibrary();
await buildSample();
await run(process.execPath, ['sample-app/dist/main.js']);
