// npm run check: types, lint and format, boundaries and cycles, and what the package looks like to users.
import { buildLibrary, buildSample } from './build.mjs';
import { run, tool } from './run.mjs';
import { setUp } from './setup.mjs';

const step = async (name, check) => {
  console.log(`\n== ${name}`);
  await check();
};

await setUp();
await step('types', async () => {
  for (const project of [
    '.',
    'lib/admin/page',
    'test/types/plain',
    'test/types/registered',
    'test/sample-app',
  ]) {
    await tool('typescript/bin/tsc', '-p', project);
  }
});
await step('scripts of Redis', () => run(process.execPath, ['scripts/embed-lua.mjs', '--check']));
await step('page of the admin API', () => run(process.execPath, ['scripts/embed-page.mjs', '--check']));
await step('lint and format', () => tool('@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '.'));
await step('boundaries and cycles', () =>
  tool('dependency-cruiser/bin/dependency-cruise.mjs', 'lib', '--config', '.dependency-cruiser.cjs'),
);
await step('package', async () => {
  await buildLibrary();
  await buildSample();
  await run(process.execPath, ['scripts/api-report.mjs', '--check']);
  await tool('publint/src/cli.js', '--strict');
  await tool('@arethetypeswrong/cli/dist/index.js', '--pack', '.');
});
await step('lock files', () =>
  run(process.execPath, [
    '-e',
    `for (const file of ['package-lock.json', 'bench/package-lock.json', 'docs/package-lock.json']) {
       if (!/"resolved":\\s*"https?:/.test(require('fs').readFileSync(file, 'utf8'))) continue;
       console.error(file + ' holds download addresses: install with omit-lockfile-registry-resolved.');
       process.exit(1);
     }`,
  ]),
);
