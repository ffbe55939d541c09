// Compiles lib/ twice, as ES modules and as CommonJS, each with its types, and the sample application.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, tool } from './run.mjs';

const FORMATS = {
  esm: { type: 'module', options: ['--module', 'nodenext'] },
  cjs: { type: 'commonjs', options: ['--module', 'commonjs', '--moduleResolution', 'bundler'] },
};

const tsc = (...options) => tool('typescript/bin/tsc', ...options);

export async function buildLibrary() {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  for (const [name, { type, options }] of Object.entries(FORMATS)) {
    const outDir = join('dist', name);
    await tsc('-p', 'tsconfig.build.json', ...options, '--outDir', outDir);
    writeFileSync(join(root, outDir, 'package.json'), `${JSON.stringify({ type })}\n`);
  }
}

/** Compiles the sample against the library as it was built. */
export async function buildSample() {
  rmSync(join(root, 'sample-app', 'dist'), { recursive: true, force: true });
  await tsc('-p', 'sample-app');
}

if (process.argv[1] === import.meta.filename) {
  await buildLibrary();
  await buildSample();
}
