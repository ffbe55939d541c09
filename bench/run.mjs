// npm run bench: measures everything, or the sections that are named, prints tables, and writes them into results.md, in
// place of what was measured before.
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
  'guard',
  'guard-parts',
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

const file = `${here}results.md`;
const today = new Date().toISOString().slice(0, 10);
const head = `# Results

Written by \`npm run bench\`; each section says when. A section that was measured alone is \`npm run bench -- <section>\`.

Machine: ${machine()}.

Versions: ${versions()}.`;

/** The sections of the file as it is, by their titles. */
const written = new Map();
for (const text of readFileSync(file, 'utf8')
  .split(/^(?=## )/m)
  .slice(1)) {
  written.set(/^## (.*)/.exec(text)[1], text.trim());
}

const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? SECTIONS.filter((one) => wanted.includes(one)) : SECTIONS) {
  const { default: measure } = await import(`./${name}.mjs`);
  const section = await measure();
  const text = sectionText({ ...section, text: `${section.text} Measured on ${today}.` });
  console.log(`\n${text}`);
  written.set(section.title, text);
  writeFileSync(file, `${[head, ...written.values()].join('\n\n')}\n`);
}
