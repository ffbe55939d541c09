import { mistake } from '../core/errors.js';
import type { Policy } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import { shown } from '../core/shown.js';
import type { IdentityInWords } from '../key/identity.js';
import type { Limit } from './limit.js';
import { isText } from './option-rules.js';
import type { ScopeName } from './register.js';

/** One identity under one scope. */
export interface LimiterTarget<Scope extends string = ScopeName> {
  /** A scope of the module, or of the options of this `RateLimiter`. */
  readonly scope: Scope;
  /**
   * Who is charged, as `kind:value`: `user:42`, `ip:203.0.113.7`, or a kind of your own; a list of them for
   * a key such as `ip+user`.
   */
  readonly identity: IdentityInWords;
  /** The identity's tier, for a scope with a map of tiers. */
  readonly tier?: string | undefined;
  /** The rate, for a scope whose rate is a function of the request. */
  readonly rate?: RateInput | undefined;
}

/** A charge to one identity under one scope. */
export interface LimiterCharge<Scope extends string = ScopeName> extends LimiterTarget<Scope> {
  /** Units, a whole number of 0 or more; default 1. Anything else is reported and counts as 1. */
  readonly cost?: number | undefined;
}

/** The identity; throws `bad-key` for what is none. */
export function checkIdentity(identity: IdentityInWords): IdentityInWords {
  const fits = Array.isArray(identity) ? identity.length > 0 && identity.every(isText) : isText(identity);
  if (fits) return identity;
  throw mistake(
    'bad-key',
    `${shown(identity)} is no identity.`,
    `Give a text that is not empty, as kind:value, such as 'user:42'; or a list of those charged together.`,
  );
}

/** The policy of a scope's limit for a target, null for none; throws `bad-rate` where the target lacks a rate. */
export function policyOf(
  { rate: source }: Limit<never>,
  { scope, tier, rate }: LimiterTarget<string>,
): Policy | null {
  if (source.kind === 'fixed') return source.policy;
  if (source.kind === 'tiers') return source.ofTier(tier);
  if (source.kind === 'load') return source.policyFor();
  if (rate !== undefined) return source.ofRate(rate);
  throw mistake(
    'bad-rate',
    `The rate of the scope ${shown(scope)} is a function of a request, and there is none here.`,
    'Give the rate along: limiter.consume({ scope, identity, rate }).',
  );
}
