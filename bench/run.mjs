// npm run bench: measures everything, or the sections that are named, prints tables, and writes results.md when all of
// them were measured.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { sectionText } from './support/section.mjs';

const SECTIONS = [
  'memory-decisions',
  'redis-decisions',
  'http',
  'flood',
  'latency',
  'memory',
  'growth',
  'start-up',
  'fleet-simulation',
];
const here = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);

function versionOf(name) {
  const file = [
    `${here}node_modules/${name}/package.json`,
    `${here}../node_modules/${name}/package.json`,
  ].find((path) => existsSync(path));
  return `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}`;
}

const versions = () =>
  [
    `Node ${process.versions.node}`,
    execFileSync('redis-server', ['--version'], { encoding: 'utf8' }).split(' ').slice(0, 3).join(' '),
    ...['@nestjs/core', 'fastify', 'express', 'ioredis'].map(versionOf),
    ...Object.keys(require('./package.json').devDependencies).map(versionOf),
  ].join(', ');

const machine = () =>
  `${cpus().length} x ${cpus()[0].model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`;

const wanted = process.argv.slice(2);
const texts = [];
for (const name of SECTIONS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { default: measure } = await import(`./${name}.mjs`);
  const text = sectionText(await measure());
  console.log(`\n${text}`);
  texts.push(text);
}
if (wanted.length === 0) {
  const head = `# Results\n\nWritten by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}.\n\nMachine: ${machine()}.\n\nVersions: ${versions()}.`;
  writeFileSync(`${here}results.md`, `${[head, ...texts].join('\n\n')}\n`);
}
