// npm run replay -- access.log: sends a log through the sample application and prints what was denied.
import { resolve } from 'node:path';
import { buildLibrary, buildSample } from './build.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
await buildLibrary();
await buildSample();
// npm starts scripts in the project's folder, and a path is meant from where the caller stands.
const here = process.env.INIT_CWD ?? '.';
const given = process.argv.slice(2).map((word) => (word.startsWith('-') ? word : resolve(here, word)));
await run(process.execPath, ['sample-app/dist/replay.js', ...given]);
