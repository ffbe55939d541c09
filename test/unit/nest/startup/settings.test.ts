import { ErrorCollector } from '../../../../lib/core/errors.js';
import type { RateLimitModuleOptions } from '../../../../lib/nest/startup/options.js';
import { compileSettings } from '../../../../lib/nest/startup/settings.js';
import { compileKeyRule } from '../../../../lib/plan/limit-functions.js';
import { rejectResolvers } from '../../../../lib/plan/resolvers.js';
import { MemoryStore } from '../../../../lib/store/memory/memory-store.js';
import { httpContext } from '../../../support/contexts.js';

const setUp = (options: RateLimitModuleOptions) => {
  const reports: string[] = [];
  const report = (source: string, message: string) => void reports.push(`${source}: ${message}`);
  const errors = new ErrorCollector();
  const settings = compileSettings(
    options,
    { statistics: false },
    new MemoryStore(),
    rejectResolvers,
    report,
    errors,
  );
  expect(errors.errors).toEqual([]);
  return { settings, reports, report };
};

describe("the module's key function is called once for each request, even if several limits use it", () => {
  test.each<[string, () => string | Promise<string>, string]>([
    ['that returns an identity', () => 'acme', 'key:acme'],
    ['that returns a promise', async () => 'acme', 'key:acme'],
    [
      'that throws',
      () => {
        throw new Error('no database');
      },
      'ip:203.0.113.7',
    ],
    ['that rejects', () => Promise.reject(new Error('no database')), 'ip:203.0.113.7'],
  ])('a function %s', async (_what, call, identity) => {
    let calls = 0;
    const { settings, report } = setUp({
      key: () => {
        calls++;
        return call();
      },
    });
    const { key, hash, isKeyed } = settings.defaults;
    const compilation = { hash, isKeyed, report, resolve: rejectResolvers };
    const limits = ['Shop.a', 'Shop.b'].map((source) => compileKeyRule(key, source, compilation));
    const identitiesOf = (context: ReturnType<typeof httpContext>) =>
      Promise.all(limits.map(({ identify }) => identify(context)));
    const context = httpContext({ ip: '203.0.113.7' });
    expect(await identitiesOf(context)).toEqual([identity, identity]);
    expect(calls).toBe(1);
    await identitiesOf(httpContext({ ip: '203.0.113.7' }));
    await identitiesOf(context.fork());
    expect(calls).toBe(3);
  });
});

test("the module's tier function is called once for each request, even if it fails", async () => {
  let calls = 0;
  const { settings, reports } = setUp({
    tier: () => {
      calls++;
      throw new Error('no database');
    },
  });
  const context = httpContext({});
  const tiers = await Promise.all([settings.defaults.tier?.(context), settings.defaults.tier?.(context)]);
  expect([tiers, calls]).toEqual([[undefined, undefined], 1]);
  expect(reports).toEqual(['tier: The tier function failed, so the default tier is taken.']);
});
