import { lru } from 'tiny-lru';
import type { Awaitable } from '../core/awaitable.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import { assertConfig, describeValue } from '../core/errors.js';
import { definePolicy, type Policy, type PolicyInput } from '../core/policy.js';
import { parseRate, type Rate, type RateInput } from '../core/rate.js';
import { callback, INVALID, syncCallback } from './callbacks.js';
import type { LimitDefaults } from './limit-functions.js';
import { LOAD_LEVELS, RateByLoad } from './load.js';
import type { RateFunction, RateResolver, RateRule, TierFunction, TierMap } from './options.js';
import { isResolverClass } from './resolvers.js';

/** The source of a limit's policy; a policy of null means unlimited. */
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

/** Thrown, after a report, for a request whose rate is unknown: nobody can say whether it is within its limit. */
export class UnknownRateError extends Error {
  override readonly name = 'UnknownRateError';
}

/** A policy without its rate. */
export type PolicyTemplate = Omit<PolicyInput, 'rate'>;

const ANY_RATE: Rate = { limit: 1, windowMs: 1 };

// More different rates than any application has.
const MAX_POLICIES = 1_000;

const policyOf = (template: PolicyTemplate, rate: Rate | null): Policy | null =>
  rate === null ? null : definePolicy({ ...template, rate });

function tieredRate<Context>(
  tiers: TierMap,
  template: PolicyTemplate,
  tierOf: TierFunction<Context> | undefined,
): RateSource<Context> {
  assertConfig(
    Object.hasOwn(tiers, 'default'),
    'bad-tiers',
    `${describeValue(tiers)} has neither a rate, as a limit has, nor a default, as a map of tiers has.`,
    `For a limit write { rate: '5/min' }; to a map of tiers add default: '<rate>', for clients of any other tier.`,
  );
  assertConfig(
    tierOf !== undefined,
    'bad-tiers',
    'A map of tiers stands here, but nothing tells the tier of a client.',
    'Give RateLimitModule a tier function: tier: (context) => context.user?.tier.',
  );
  const policies = new Map(
    Object.entries(tiers).map(([tier, input]) => [tier, policyOf(template, parseRate(input))]),
  );
  const otherwise = policies.get('default') as Policy | null;
  const forTier = (tier: unknown): Policy | null => {
    const policy = typeof tier === 'string' ? policies.get(tier) : otherwise;
    return policy === undefined ? otherwise : policy;
  };
  return { kind: 'tiers', policies, policyFor: async (context) => forTier(await tierOf(context)), forTier };
}

function callbackRate<Context>(
  rateOf: (context: Context) => unknown,
  template: PolicyTemplate,
  source: string,
  { report, shadow }: LimitDefaults<Context>,
): RateSource<Context> {
  // A limit that denies nothing does not keep a request from being decided.
  const canGoWithout = template.failMode === 'open' || shadow;
  // Finds errors in everything but the rate now.
  definePolicy({ ...template, rate: ANY_RATE });
  const policies = lru<Policy>(MAX_POLICIES);
  const forRate = (input: RateInput): Policy | null => {
    if (input === null || input === 'unlimited') return null;
    const key = typeof input === 'string' ? input : JSON.stringify(input);
    let policy = policies.get(key);
    if (policy === undefined) {
      policy = definePolicy({ ...template, rate: parseRate(input) as Rate });
      policies.set(key, policy);
    }
    return policy;
  };
  const policyFor = callback(rateOf, {
    source,
    report,
    failed: canGoWithout
      ? 'The rate function returned no rate, so the limit is left out.'
      : 'The rate function returned no rate, so the request cannot be decided.',
    check: (rate) => forRate(rate as RateInput),
    fallback(): null {
      if (canGoWithout) return null;
      throw new UnknownRateError(`The rate function of ${describeValue(template.name)} returned no rate.`);
    },
  });
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
    const isGiven = Object.hasOwn(rates, name);
    assertConfig(isGiven, 'bad-rate', `There is no rate for the load ${name}.`, `Add ${name}: '<rate>'.`);
    policies.set(name, policyOf(template, parseRate(rates[name])));
  }
  const normal = policies.get('normal') as Policy | null;
  const policyFor = syncCallback(level, {
    source,
    report,
    failed: 'The load cannot be measured, so it counts as normal.',
    invalid: 'There is no rate for this load, so it counts as normal.',
    check: (name) => policies.get(name) ?? (policies.has(name) ? null : INVALID),
    fallback: () => normal,
  });
  return { kind: 'load', policyFor };
}

const isTierMap = (rule: object): rule is TierMap => !Array.isArray(rule) && !('limit' in rule);

/**
 * Compiles the rate of the limit at `source`: everything that can be parsed is parsed here.
 *
 * @throws RateLimitConfigError for a rate that is none, or a map of tiers that could leave a client without.
 */
export function compileRate<Context>(
  rule: RateRule<Context>,
  template: PolicyTemplate,
  source: string,
  compilation: LimitDefaults<Context>,
): RateSource<Context> {
  const { tier, resolve, report } = compilation;
  if (rule instanceof RateByLoad) return loadRate(rule, template, source, report);
  if (isResolverClass<RateResolver<Context>>(rule, 'resolveRate')) {
    const instanceFor = resolve(rule, source);
    const rateOf = async (context: Context) => (await instanceFor(context)).resolveRate(context);
    return callbackRate(rateOf, template, source, compilation);
  }
  if (typeof rule === 'function')
    return callbackRate(rule as RateFunction<Context>, template, source, compilation);
  if (typeof rule === 'object' && rule !== null && isTierMap(rule)) return tieredRate(rule, template, tier);
  return { kind: 'fixed', policy: policyOf(template, parseRate(rule as RateInput)) };
}
