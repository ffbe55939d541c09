/** Nest 12 is ESM only, so Jest runs in ESM mode: see scripts/test.mjs. */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  testSequencer: '<rootDir>/scripts/test-order.mjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // Other versions of Node are downloaded: `npm run test:package` alone runs these.
  testPathIgnorePatterns: process.env.PACKAGE_MATRIX === 'complete' ? [] : ['/test/package/nodes.test.ts'],
  moduleNameMapper: {
    '^nestjs-ratelimit$': '<rootDir>/lib/index.ts',
    '^nestjs-ratelimit/admin$': '<rootDir>/lib/admin/index.ts',
    '^nestjs-ratelimit/redis$': '<rootDir>/lib/store/redis/index.ts',
    '^nestjs-ratelimit/testing$': '<rootDir>/lib/testing/index.ts',
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
