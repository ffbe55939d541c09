// Embeds the Lua scripts of the Redis store in a TypeScript file, with their includes and without comments.
// With --check it writes nothing, and fails when the file is out of date.
//
// `-- @include clock` includes include/clock.lua; `-- @include algorithms/*` includes every file of include/algorithms/.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

const folder = join(root, 'lib', 'store', 'redis', 'scripts');
const target = join(root, 'lib', 'store', 'redis', 'scripts.gen.ts');

const INCLUDE = /^-- @include (\S+)$/;

/** Returns the files of an include, sorted, so that the result does not depend on the file system. */
const includedFiles = (name) =>
  name.endsWith('/*') ? luaFiles(join('include', name.slice(0, -2))) : [join('include', `${name}.lua`)];

const luaFiles = (path) =>
  readdirSync(join(folder, path))
    .filter((file) => file.endsWith('.lua'))
    .sort()
    .map((file) => join(path, file));

/** Returns the lines of a script, with each include in place of the line that names it. */
function linesOf(file) {
  return readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, name] = INCLUDE.exec(line) ?? [];
      return name === undefined ? [line] : includedFiles(name).flatMap(linesOf);
    })
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('--'));
}

const files = luaFiles('');
const nameOf = (file) => file.replace('.lua', '');

const scripts = files.map(
  (file) =>
    `  ${nameOf(file)}: \`${linesOf(file)
      .join('\n')
      .replace(/[`\\$]/g, '\\$&')}\`,\n`,
);

// With a type of its own, because the declarations would repeat the texts.
const text = `// Made from scripts/*.lua by \`npm run embed-lua\`.
export const SCRIPTS: Readonly<Record<${files.map((file) => `'${nameOf(file)}'`).join(' | ')}, string>> = {
${scripts.join('')}};
`;

if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('lib/store/redis/scripts.gen.ts is out of date. Run npm run embed-lua.');
  process.exit(1);
}
