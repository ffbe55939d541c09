import { type Awaitable, andThen, rescued } from '../core/awaitable.js';
import { type ErrorReporter, reportFor } from '../core/error-reporter.js';
import { configError, describeValue } from '../core/errors.js';
import { definePolicy, type Policy, type PolicyInput } from '../core/policy.js';
import { parseRate, type Rate, type RateInput } from '../core/rate.js';
import { LOAD_LEVELS, RateByLoad } from './load.js';
import type { RateFunction, RateResolver, RateRule, TierMap } from './options.js';
import { isResolverClass, type ProviderResolver } from './resolvers.js';

/** Where a limit's policy comes from; a policy of null means unlimited. */
export type RateSource<Context> =
  | { readonly kind: 'fixed'; readonly policy: Policy | null }
  | { readonly kind: 'load'; policyFor(): Policy | null }
  | {
      readonly kind: 'tiers';
      /** By tier, `default` among them. */
      readonly policies: ReadonlyMap<string, Policy | null>;
      policyFor(context: Context): Awaitable<Policy | null>;
      forTier(tier: unknown): Policy | null;
    }
  | {
      readonly kind: 'function';
      policyFor(context: Context): Awaitable<Policy | null>;
      /** The policy of a rate, made once for each different one. */
      forRate(rate: RateInput): Policy | null;
    };

/** Finds the caller's tier, at once or as a promise; what is no text stands for no tier. */
export type TierFunction<Context> = (context: Context) => unknown;

/**
 * Thrown for a request whose rate cannot be told, after that was reported: nobody can say whether such
 * a request is within its limit.
 */
export class UnknownRateError extends Error {
  override readonly name = 'UnknownRateError';
}

/** All of a policy but its rate. */
export type PolicyTemplate = Omit<PolicyInput, 'rate'>;

const ANY_RATE: Rate = { limit: 1, windowMs: 1 };

// More different rates than any application has; beyond them the cache starts over.
const MAX_POLICIES = 1_000;

const policyOf = (template: PolicyTemplate, rate: Rate | null): Policy | null =>
  rate === null ? null : definePolicy({ ...template, rate });

function tieredRate<Context>(
  tiers: TierMap,
  template: PolicyTemplate,
  tierOf: TierFunction<Context> | undefined,
): RateSource<Context> {
  if (!Object.hasOwn(tiers, 'default')) {
    throw configError(
      'bad-tiers',
      `${describeValue(tiers)} has neither a rate, as a limit has, nor a default, as a map of tiers has.`,
      `For a limit write { rate: '5/min' }; to a map of tiers add default: '<rate>', for callers of any other tier.`,
    );
  }
  if (tierOf === undefined) {
    throw configError(
      'bad-tiers',
      'A map of tiers stands here, but nothing tells the tier of a caller.',
      'Give RateLimitModule a tier function: tier: (context) => context.user?.tier.',
    );
  }
  const policies = new Map(
    Object.entries(tiers).map(([tier, input]) => [tier, policyOf(template, parseRate(input))]),
  );
  const otherwise = policies.get('default') as Policy | null;
  const forTier = (tier: unknown): Policy | null => {
    const policy = typeof tier === 'string' ? policies.get(tier) : otherwise;
    return policy === undefined ? otherwise : policy;
  };
  return { kind: 'tiers', policies, policyFor: (context) => andThen(tierOf(context), forTier), forTier };
}

const cacheKey = (input: RateInput): string => (typeof input === 'string' ? input : JSON.stringify(input));

function callbackRate<Context>(
  rateOf: (context: Context) => Awaitable<RateInput>,
  template: PolicyTemplate,
  source: string,
  { report, shadow }: RateCompilation<Context>,
): RateSource<Context> {
  // A limit that denies nothing does not keep a request from being decided.
  const canGoWithout = template.failMode === 'open' || shadow;
  // What is wrong with anything but the rate is found now.
  definePolicy({ ...template, rate: ANY_RATE });
  const known = new Map<string, Policy | null>();
  const forRate = (input: RateInput): Policy | null => {
    if (input === null || input === 'unlimited') return null;
    const key = cacheKey(input);
    let policy = known.get(key);
    if (policy === undefined) {
      policy = policyOf(template, parseRate(input));
      if (known.size >= MAX_POLICIES) known.clear();
      known.set(key, policy);
    }
    return policy;
  };
  const policyFor = rescued(
    (context: Context) => andThen(rateOf(context), forRate),
    (error, context): null => {
      reportFor(context, report)(
        source,
        canGoWithout
          ? 'The rate function gave no rate, so the limit is left out.'
          : 'The rate function gave no rate, so the request cannot be decided.',
        error,
      );
      if (canGoWithout) return null;
      throw new UnknownRateError(`The rate function of ${describeValue(template.name)} gave no rate.`);
    },
  );
  return { kind: 'function', policyFor, forRate };
}

function loadRate<Context>(
  { rates, level }: RateByLoad,
  template: PolicyTemplate,
  source: string,
  report: ErrorReporter,
): RateSource<Context> {
  const policies = new Map<unknown, Policy | null>();
  for (const name of LOAD_LEVELS) {
    if (!Object.hasOwn(rates, name)) {
      throw configError('bad-rate', `There is no rate for the load ${name}.`, `Add ${name}: '<rate>'.`);
    }
    policies.set(name, policyOf(template, parseRate(rates[name])));
  }
  const normal = policies.get('normal') as Policy | null;
  const policyFor = (): Policy | null => {
    try {
      const policy = policies.get(level());
      if (policy !== undefined) return policy;
      report(source, 'The load is none that there is a rate for, so it counts as normal.');
    } catch (error) {
      report(source, 'The load cannot be told, so it counts as normal.', error);
    }
    return normal;
  };
  return { kind: 'load', policyFor };
}

const isTierMap = (rule: object): rule is TierMap => !Array.isArray(rule) && !('limit' in rule);

/** What a limit takes from its surroundings to find its rate. */
export interface RateCompilation<Context> {
  readonly tier: TierFunction<Context> | undefined;
  readonly resolve: ProviderResolver<Context>;
  readonly report: ErrorReporter;
  /** Whether the limit only reports. */
  readonly shadow: boolean;
}

/**
 * Compiles the rate of the limit at `source`: everything that can be parsed is parsed here.
 *
 * @throws RateLimitConfigError for a rate that is none, or a map of tiers that could leave a caller without.
 */
export function compileRate<Context>(
  rule: RateRule<Context>,
  template: PolicyTemplate,
  source: string,
  compilation: RateCompilation<Context>,
): RateSource<Context> {
  const { tier, resolve, report } = compilation;
  if (rule instanceof RateByLoad) return loadRate(rule, template, source, report);
  if (isResolverClass<RateResolver<Context>>(rule, 'resolveRate')) {
    const found = resolve(rule, source);
    const rateOf = (context: Context) => andThen(found(context), (resolver) => resolver.resolveRate(context));
    return callbackRate(rateOf, template, source, compilation);
  }
  if (typeof rule === 'function')
    return callbackRate(rule as RateFunction<Context>, template, source, compilation);
  if (typeof rule === 'object' && rule !== null && isTierMap(rule)) return tieredRate(rule, template, tier);
  return { kind: 'fixed', policy: policyOf(template, parseRate(rule as RateInput)) };
}
