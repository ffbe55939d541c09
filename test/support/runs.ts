/**
 * How often a property is tried: `long` times by `npm run test:all`, a fifth of that, and 100 times at least, by
 * `npm test`.
 */
export const runs = (long: number): { readonly numRuns: number } => ({
  numRuns: process.env.TEST_SUITES === 'all' ? long : Math.max(100, Math.ceil(long / 5)),
});
