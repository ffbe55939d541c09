// npm run docs: draws the timelines, makes the reference from the docstrings, and builds the site into
// docs/.vitepress/dist. A link that leads nowhere fails it.
import { buildLibrary } from './build.mjs';
import { run } from './run.mjs';
import { setUp } from './setup.mjs';

await setUp();
await run('npm', ['ci', '--prefix', 'docs', '--loglevel=error']);
await buildLibrary();
await run(process.execPath, ['docs/draw-timelines.mjs']);
await run(process.execPath, ['docs/node_modules/typedoc/bin/typedoc', '--options', 'docs/typedoc.json']);
await run(process.execPath, ['docs/node_modules/vitepress/bin/vitepress.js', 'build', 'docs']);
