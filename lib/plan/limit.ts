import { type Awaitable, isPromise } from '../core/awaitable.js';
import type { Charge } from '../core/decision.js';
import { parseDuration } from '../core/duration.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import { configError } from '../core/errors.js';
import type { AlgorithmName, FailMode, Policy } from '../core/policy.js';
import type { Caller } from '../identity/caller.js';
import type { IdentityHashing } from '../identity/hash.js';
import { type Condition, compileCondition } from './condition.js';
import { type Cost, compileCost, requireFittingCost } from './cost.js';
import { type CountPredicate, compileCountWhen } from './count-when.js';
import { compileKeyRule } from './identify.js';
import type { KeyRule, LimitOptions } from './options.js';
import { compileRate, type PolicyTemplate, type RateSource, type TierFunction } from './rate-source.js';
import type { ProviderResolver } from './resolvers.js';
import { validateLimit } from './validate-limit.js';

/** What limits take from the module where they do not say it themselves. */
export interface LimitDefaults<Context> extends IdentityHashing {
  readonly key: KeyRule<Context>;
  readonly algorithm: AlgorithmName;
  readonly tier: TierFunction<Context> | undefined;
  readonly resolve: ProviderResolver<Context>;
  /** Whether limits that do not say only report. */
  readonly shadow: boolean;
  /** What becomes of limits that do not say while the store fails. */
  readonly failMode: FailMode;
  readonly report: ErrorReporter;
}

/** What shares the buckets of a limit: every route, the routes of a named scope, a class's, or one alone. */
export type BucketScope = 'global' | 'scope' | 'class' | 'route';

/** What a limit is called, what shares its buckets, and where a reader has to look for it. */
export interface LimitOrigin {
  readonly name: string;
  /** What shares its buckets, as it stands in their keys. */
  readonly scope: string;
  readonly reach: BucketScope;
  /** Such as `AuthController.login` or `scopes.login`. */
  readonly source: string;
  /** Whether the module has it, for every route. */
  readonly isModuleLimit: boolean;
}

/** What a subclass of the guard is told of a limit. */
export interface LimitInfo<Context> {
  /** As clients see it. */
  readonly name: string;
  /** Where it is written, such as `AuthController.login` or `scopes.login`. */
  readonly source: string;
  /** The key it was written with. */
  readonly key: KeyRule<Context>;
  /** Whether it only reports. */
  readonly shadow: boolean;
  /** Who is charged, or null to skip the limit. */
  readonly identify: (context: Context) => Awaitable<string | null>;
}

/** A compiled limit: makes the charge of a request. */
export interface Limit<Context> extends LimitOrigin, LimitInfo<Context> {
  /** Whether it can be decided only once the caller is known. */
  readonly readsUser: boolean;
  /** Whether functions of the application decide in it, of which nothing is said of what they need. */
  readonly usesFunctions: boolean;
  readonly blockDurationsMs: readonly number[];
  readonly cost: Cost<Context>;
  readonly rate: RateSource<Context>;
  /** What it was written with. */
  readonly options: LimitOptions<Context>;
  /** What all of its policies have in common. */
  readonly template: PolicyTemplate & { readonly algorithm: AlgorithmName; readonly failMode: FailMode };
  /** Whether the limit applies to a request; null when it does to all. */
  readonly condition: Condition<Context> | null;
  /** Whether a call that was charged counts, asked at its end; null when every call does. */
  readonly countWhen: CountPredicate<Context> | null;
  /** What the request asks of the bucket of `identity`, or null when the caller has no limit. */
  charge(context: Context, identity: string): Awaitable<Charge | null>;
}

type ChargeMaker = (policy: Policy | null, identity: string, cost: number) => Charge | null;

function chargeFunction<Context>(
  rate: RateSource<Context>,
  cost: Cost<Context>,
  make: ChargeMaker,
): Limit<Context>['charge'] {
  if (rate.kind === 'fixed' && typeof cost === 'number') {
    const { policy } = rate;
    return (_context, identity) => make(policy, identity, cost);
  }
  return (context, identity) => {
    const policy = rate.kind === 'fixed' ? rate.policy : rate.policyFor(context);
    const units = typeof cost === 'number' ? cost : cost(context);
    if (!isPromise(policy) && !isPromise(units)) return make(policy, identity, units);
    return Promise.all([policy, units]).then(([known, counted]) => make(known, identity, counted));
  };
}

function compileBlocks(block: LimitOptions<never>['block']): readonly number[] {
  const blocks = (Array.isArray(block) ? block : block === undefined ? [] : [block]).map(parseDuration);
  if (blocks.every((ms, at) => at === 0 || ms >= (blocks[at - 1] as number))) return Object.freeze(blocks);
  throw configError('bad-duration', 'The lengths of a block get shorter.', 'Order them from short to long.');
}

/**
 * Compiles one limit.
 *
 * @throws RateLimitConfigError for whatever in its options cannot be meant.
 */
export function compileLimit<Context extends Caller>(
  options: LimitOptions<Context>,
  { name, scope, reach, source, isModuleLimit }: LimitOrigin,
  defaults: LimitDefaults<Context>,
): Limit<Context> {
  validateLimit(options, isModuleLimit);
  const {
    key = defaults.key,
    algorithm = defaults.algorithm,
    burst,
    message,
    shadow = defaults.shadow,
    failMode = defaults.failMode,
  } = options;
  const template = { name, scope, algorithm, burst, message, failMode };
  const rate = compileRate(options.rate, template, source, { ...defaults, shadow });
  const cost = compileCost(options.cost, source, defaults.report);
  if (rate.kind === 'fixed') requireFittingCost(cost, rate.policy);
  const blockDurationsMs = compileBlocks(options.block);
  const { identify, readsUser } = compileKeyRule(key, source, defaults);
  return {
    name,
    scope,
    reach,
    source,
    isModuleLimit,
    shadow,
    blockDurationsMs,
    key,
    cost,
    rate,
    options,
    template,
    identify,
    condition: compileCondition(options, source, defaults.report),
    countWhen: compileCountWhen(options.countWhen, source, defaults.report),
    usesFunctions:
      options.needs === undefined &&
      [key, options.cost, options.rate, options.when, options.skipIf].some(
        (part) => typeof part === 'function',
      ),
    readsUser: readsUser || options.needs === 'user' || rate.kind === 'tiers',
    charge: chargeFunction(rate, cost, (policy, identity, units) =>
      policy === null ? null : { policy, identity, cost: units, shadow, blockDurationsMs },
    ),
  };
}
