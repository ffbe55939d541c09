/** True for `npm run test:all`. */
export const isLong = process.env.TEST_SUITES === 'all';

/** Returns the number of runs of a property: `long` in `npm run test:all`, a fifth of that but at least 100 in `npm test`. */
export const runs = (long: number): { readonly numRuns: number } => ({
  numRuns: isLong ? long : Math.max(100, Math.ceil(long / 5)),
});
