import { availableParallelism } from 'node:os';

/** `npm run test:all` runs what takes long or measures time under load, one file at a time; `npm test` all the rest. */
const isAll = process.env.TEST_SUITES === 'all';

/** Nest 12 is ESM only, so Jest runs in ESM mode: see scripts/test.mjs. */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: [`<rootDir>/test/${isAll ? '{matrix,browser,outages,property}/' : ''}**/*.test.ts`],
  testPathIgnorePatterns: isAll ? [] : ['/test/(matrix|browser|outages)/'],
  // Tests that wait for servers and timers leave their processor to others.
  maxWorkers: isAll ? 1 : 2 * availableParallelism(),
  // A test that hangs fails. No test judges time by this: a busy machine may take many times as long.
  testTimeout: isAll ? 300_000 : 120_000,
  moduleNameMapper: {
    '^nestjs-ratelimit$': '<rootDir>/lib/index.ts',
    '^nestjs-ratelimit/(\\w+)$': ['<rootDir>/lib/$1/index.ts', '<rootDir>/lib/store/$1/index.ts'],
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2022',
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
