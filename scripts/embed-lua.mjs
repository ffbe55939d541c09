// Writes the Lua scripts of the Redis store into TypeScript, with what they include, and without comments.
// With --check it writes nothing, and fails where that would change anything.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.mjs';

const folder = join(root, 'lib', 'store', 'redis', 'scripts');
const target = join(root, 'lib', 'store', 'redis', 'scripts.gen.ts');

const INCLUDE = /^-- @include (\S+)$/;

/** The lines of a script, each file it includes in place of the line that asks for it. */
function linesOf(file) {
  return readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, name] = INCLUDE.exec(line) ?? [];
      return name === undefined ? [line] : linesOf(join('include', `${name}.lua`));
    })
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('--'));
}

const scripts = readdirSync(folder)
  .filter((file) => file.endsWith('.lua'))
  .sort()
  .map(
    (file) =>
      `  ${file.replace('.lua', '')}: \`${linesOf(file)
        .join('\n')
        .replace(/[`\\$]/g, '\\$&')}\`,\n`,
  );

const text = `// Made from scripts/*.lua by \`npm run embed-lua\`.
export const SCRIPTS = {
${scripts.join('')}} as const;
`;

if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('lib/store/redis/scripts.gen.ts is not what its Lua files make. Run npm run embed-lua.');
  process.exit(1);
}
