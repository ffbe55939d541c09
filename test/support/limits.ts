import { createHasher } from '../../lib/identity/hash.js';
import type { RateLimitContext } from '../../lib/nest/context/call-context.js';
import { compileLimit, type Limit, type LimitOrigin } from '../../lib/plan/limit.js';
import type { LimitDefaults } from '../../lib/plan/limit-functions.js';
import type { AnyLimitOptions } from '../../lib/plan/options.js';
import { rejectResolvers } from '../../lib/plan/resolvers.js';

export type TestLimit = Limit<RateLimitContext>;
export type TestLimitOptions = Omit<AnyLimitOptions<RateLimitContext>, 'name'>;

/** The defaults of a module that was given no options, and whose callers have no tier. */
export const limitDefaults: LimitDefaults<RateLimitContext> = {
  key: 'ip',
  algorithm: 'sliding-window',
  tier: () => undefined,
  hash: createHasher('secret'),
  isKeyed: true,
  resolve: rejectResolvers,
  shadow: false,
  failMode: 'local',
  report: () => undefined,
};

/** Compiles a limit of the route `Shop.get`, which is declared at `Shop.<name>`. */
export const testLimit = (
  name: string,
  options: TestLimitOptions,
  origin: Partial<LimitOrigin> = {},
  defaults: Partial<LimitDefaults<RateLimitContext>> = {},
): TestLimit =>
  compileLimit<RateLimitContext>(
    { ...options, name },
    { name, scope: 'Shop.get', reach: 'route', source: `Shop.${name}`, isModuleLimit: false, ...origin },
    { ...limitDefaults, ...defaults },
  );
