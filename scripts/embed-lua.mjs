// Embeds the Lua scripts of the Redis store in a TypeScript file, with their includes and without comments.
// With --check it writes nothing, and fails when the file is out of date.
//
// `-- @include clock` includes include/clock.lua. `-- @algorithms wait` includes, of every file of algorithms/, the lines
// from `-- @part wait` to the next part, for the charges that have the file's `-- @code`.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

const folder = join(root, 'lib', 'store', 'redis', 'scripts');
const target = join(root, 'lib', 'store', 'redis', 'scripts.gen.ts');

const INCLUDE = /^ *-- @(include|algorithms) (\S+)$/;

/** Returns the Lua files of a folder, sorted, so that the result does not depend on the file system. */
const luaFiles = (path) =>
  readdirSync(join(folder, path))
    .filter((file) => file.endsWith('.lua'))
    .sort()
    .map((file) => join(path, file));

const read = (file) => readFileSync(join(folder, file), 'utf8');

/** Returns one part of every algorithm, each under the condition that a charge has that algorithm. */
function linesOfAlgorithms(part) {
  const branches = luaFiles('algorithms').map((file) => {
    const [head, ...parts] = read(file).split('-- @part ');
    const [, code] = /^-- @code (\w)$/m.exec(head);
    const own = parts.find((text) => text.startsWith(`${part}\n`));
    if (own === undefined) throw new Error(`${file} has no part ${part}.`);
    return [`if code == ${code.charCodeAt(0)} then`, ...own.split('\n').slice(1)];
  });
  return [
    ...branches.flatMap((lines, at) => (at === 0 ? lines : [`else${lines[0]}`, ...lines.slice(1)])),
    'end',
  ];
}

/** Returns the lines of a script, with each include in place of the line that names it. */
function linesOf(file) {
  return read(file)
    .split('\n')
    .flatMap((line) => {
      const [, kind, name] = INCLUDE.exec(line) ?? [];
      if (kind === undefined) return [line];
      return kind === 'include' ? linesOf(join('include', `${name}.lua`)) : linesOfAlgorithms(name);
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
