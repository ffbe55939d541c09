import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { application, fixture, nest, packedOnce, run } from '../support/packed.js';

const packed = packedOnce();

const TRANSFORM = {
  '^.+\\.ts$': [
    '@swc/jest',
    {
      jsc: {
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
        target: 'es2022',
      },
    },
  ],
};

const JEST = ['jest@30', '@swc/core', '@swc/jest', '@types/jest'];

async function jest(major: number, isEsm: boolean): Promise<string> {
  const app = await application(packed, [...nest(major, 'testing', 'platform-express'), ...JEST], {
    jest: {
      testRegex: 'unit.test.ts$',
      transform: TRANSFORM,
      ...(isEsm && { extensionsToTreatAsEsm: ['.ts'] }),
    },
  });
  await writeFile(join(app, 'unit.test.ts'), await fixture('unit.ts'));
  const options = isEsm ? ['--experimental-vm-modules', '--no-warnings'] : [];
  return run(app, process.execPath, ...options, 'node_modules/jest/bin/jest.js', '--json');
}

async function vitest(): Promise<string> {
  const app = await application(
    packed,
    [...nest(12, 'testing', 'platform-express'), 'vitest@4', 'typescript'],
    {
      type: 'module',
    },
  );
  await writeFile(join(app, 'unit.test.ts'), await fixture('unit.ts'));
  await writeFile(
    join(app, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { target: 'es2022', experimentalDecorators: true } }),
  );
  await writeFile(join(app, 'vitest.config.mjs'), 'export default { test: { globals: true } };');
  return run(app, process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--reporter=json');
}

const RUNNERS: readonly [string, () => Promise<string>][] = [
  ['Jest in CommonJS, on Nest 11', () => jest(11, false)],
  ['Jest in ES modules, on Nest 12', () => jest(12, true)],
  ['Vitest, on Nest 12', vitest],
];

test.each(RUNNERS)("a user's own tests pass under %s", async (_name, runTests) => {
  const { numPassedTests, numFailedTests, success } = JSON.parse(await runTests());
  expect({ numFailedTests, success }).toEqual({ numFailedTests: 0, success: true });
  expect(numPassedTests).toBeGreaterThan(40);
});
