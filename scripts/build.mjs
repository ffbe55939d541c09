// Compiles lib/ twice, as ES modules and as CommonJS, each with its types.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, tool } from './run.mjs';

const FORMATS = {
  esm: { type: 'module', options: ['--module', 'nodenext'] },
  cjs: { type: 'commonjs', options: ['--module', 'commonjs', '--moduleResolution', 'bundler'] },
};

export async function build() {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  for (const [name, { type, options }] of Object.entries(FORMATS)) {
    const outDir = join('dist', name);
    await tool('typescript/bin/tsc', '-p', 'tsconfig.build.json', ...options, '--outDir', outDir);
    mkdirSync(join(root, outDir), { recursive: true });
    writeFileSync(join(root, outDir, 'package.json'), `${JSON.stringify({ type })}\n`);
  }
}

if (process.argv[1] === import.meta.filename) await build();
