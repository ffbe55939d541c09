import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Compiles one folder of this directory; what it says is empty when every expectation holds. */
async function compile(folder: string): Promise<string> {
  const tsc = 'node_modules/typescript/bin/tsc';
  // Several threads would each check what they share.
  const given = ['-p', `test/types/${folder}`, '--singleThreaded'];
  return run(process.execPath, [tsc, ...given], { cwd: root }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
}

test('A3 a wrong rate does not compile, nor do other mistakes, and what is right does', async () => {
  expect(await compile('plain')).toBe('');
});

test('a registered application has its users, its requests and its scope names checked', async () => {
  expect(await compile('registered')).toBe('');
});
