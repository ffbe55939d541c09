// npm run bench: installs what we are measured against, builds the library, and measures.
import { buildLibrary } from './build.mjs';
import { redis } from './redis.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp(redis);
await run('npm', ['ci', '--prefix', 'bench', '--loglevel=error']);
await buildLibrary();
await run(process.execPath, ['bench/run.mjs', ...process.argv.slice(2)]);
