import { type Charge, type Decision, type Outcome, outcomeOf, SKIPPED } from '../core/decision.js';
import { type Duration, parseDuration } from '../core/duration.js';
import { mistake, Problems } from '../core/errors.js';
import { type AlgorithmName, DEFAULT_ALGORITHM, type Policy } from '../core/policy.js';
import type { RateInput } from '../core/rate.js';
import { shown } from '../core/shown.js';
import { addressForm, DEFAULT_IPV6_PREFIX } from '../key/address.js';
import type { Caller } from '../key/caller.js';
import { hashingFor } from '../key/hash.js';
import {
  type IdentityForm,
  type IdentityInWords,
  identityInWords,
  writtenIdentity,
} from '../key/identity.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import type { Store } from '../store/store.js';
import { costOr1 } from './cost.js';
import type { Limit } from './limit.js';
import type { ScopeRule } from './options.js';
import type { ScopeName } from './register.js';
import { inShort, type Report } from './report.js';
import { resolveNothing } from './resolve.js';
import { Scopes } from './scopes.js';

/** What a {@link RateLimiter} outside Nest is made from. */
export interface RateLimiterOptions<Scope extends string = string> {
  /** The named scopes that it decides under. */
  readonly scopes: Readonly<Record<Scope, ScopeRule<Caller>>>;
  /** Default: a {@link MemoryStore}. */
  readonly store?: Store | undefined;
  /** For scopes that name none. Default `sliding-window`. */
  readonly algorithm?: AlgorithmName | undefined;
}

/** One identity under one scope. */
export interface LimiterTarget<Scope extends string = ScopeName> {
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

/** How one limit stands for an identity. */
export interface Standing {
  readonly scope: string;
  /** The limit's name, as clients see it. */
  readonly name: string;
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until nothing counts any more. */
  readonly resetAfterMs: number;
  /** 0 when a cost of 1 passes now, else the wait; null when no wait helps. */
  readonly retryAfterMs: number | null;
  /** Milliseconds until there is a unit more than remains now; null when none will be, as in a full bucket. */
  readonly nextUnitMs: number | null;
}

/** What a limiter works with, compiled: for the module, which has compiled its scopes already. */
export class LimiterParts {
  constructor(
    readonly scopes: Pick<Scopes<never>, 'get' | 'names'>,
    readonly store: Store,
    readonly enabled: boolean,
    readonly identity: IdentityForm,
  ) {}
}

const warn: Report = (place, what, detail) => {
  process.emitWarning(detail === undefined ? what : `${what} ${inShort(detail)}`, {
    type: 'RateLimitWarning',
    detail: place,
  });
};

function partsOf(options: RateLimiterOptions): LimiterParts {
  const store: Store = options.store ?? new MemoryStore();
  const hashing = hashingFor(store.secret, store.shared === true);
  const scopes = new Scopes<Caller>({
    key: 'ip',
    algorithm: options.algorithm ?? DEFAULT_ALGORITHM,
    tier: () => undefined,
    resolve: resolveNothing,
    shadow: false,
    ...hashing,
    report: warn,
  });
  const problems = new Problems();
  scopes.add({ scopes: options.scopes, place: 'scopes' }, problems);
  problems.throwIfAny();
  const identity = { hash: hashing.hash, address: addressForm(DEFAULT_IPV6_PREFIX) };
  return new LimiterParts(scopes, store, true, identity);
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';

function checkIdentity(identity: IdentityInWords): IdentityInWords {
  const fits = Array.isArray(identity) ? identity.length > 0 && identity.every(isText) : isText(identity);
  if (fits) return identity;
  throw mistake(
    'bad-key',
    `${shown(identity)} is no identity.`,
    `Give a text that is not empty, as kind:value, such as 'user:42'; or a list of those charged together.`,
  );
}

function policyOf(
  scope: string,
  { rate: source }: Limit<never>,
  { tier, rate }: LimiterTarget<string>,
): Policy | null {
  if (source.kind === 'fixed') return source.policy;
  if (source.kind === 'tiers') return source.ofTier(tier);
  if (source.kind === 'load') return source.policyFor(undefined as never) as Policy | null;
  if (rate !== undefined) return source.ofRate(rate);
  throw mistake(
    'bad-rate',
    `The rate of the scope ${shown(scope)} is a function of a request, and there is none here.`,
    'Give the rate along: limiter.consume({ scope, identity, rate }).',
  );
}

/**
 * Limits for code outside a route: a queue worker, a cron job, calls to somebody else's API. The module
 * provides one over its own scopes and store; without Nest, make one yourself.
 *
 * @throws RateLimitConfigError with every mistake in the scopes.
 * @example
 * const limiter = new RateLimiter({ scopes: { mail: '100/hour' } });
 * const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 3 });
 * if (!outcome.allowed) await wait(outcome.retryAfterMs);
 */
export class RateLimiter<Scope extends string = ScopeName> {
  readonly #parts: LimiterParts;
  readonly #refunded = new WeakSet<Outcome>();

  constructor(options: RateLimiterOptions<Scope>);
  /** @internal */
  constructor(parts: LimiterParts);
  constructor(from: RateLimiterOptions<Scope> | LimiterParts) {
    this.#parts = from instanceof LimiterParts ? from : partsOf(from);
  }

  /**
   * Charges an identity under a scope, if it fits. A denial charges nothing and is no error.
   *
   * @throws RateLimitConfigError for a scope that was not declared, an identity that is no text, or a
   *   scope whose rate needs a `rate` here.
   */
  async consume(target: LimiterCharge<Scope>): Promise<Outcome> {
    const charges = this.#charges(target, costOr1(target.cost ?? 1, 'RateLimiter.consume', warn));
    if (charges.length === 0) return SKIPPED;
    const { decisions, degraded } = await this.#parts.store.consume(charges);
    return outcomeOf(decisions, degraded);
  }

  /** What a charge of 1 would be answered now; charges nothing. */
  async peek(target: LimiterTarget<Scope>): Promise<Outcome> {
    const charges = this.#charges(target, 1);
    if (charges.length === 0) return SKIPPED;
    const { decisions, degraded } = await this.#parts.store.peek(charges);
    return outcomeOf(decisions, degraded);
  }

  /**
   * How every limit of an identity stands, under one scope or under all; charges nothing. Scopes whose rate
   * is a function are left out unless a `rate` is given.
   *
   * @example
   * for (const { scope, remaining, nextUnitMs } of await limiter.explain({ identity: 'user:42' })) {
   *   console.log(scope, remaining, nextUnitMs);
   * }
   */
  async explain(
    target: Omit<LimiterTarget<Scope>, 'scope'> & { readonly scope?: Scope },
  ): Promise<readonly Standing[]> {
    const { scopes, store } = this.#parts;
    const names = target.scope === undefined ? scopes.names : [target.scope];
    const asked = names.flatMap((scope) => {
      const isKnown =
        target.rate !== undefined || scopes.get(scope).every(({ rate }) => rate.kind !== 'function');
      if (!isKnown) return [];
      return this.#charges({ ...target, scope: scope as Scope }, 1).map((charge) => ({ scope, charge }));
    });
    if (asked.length === 0) return [];
    const now = await store.peek(asked.map(({ charge }) => charge));
    const more = await store.peek(
      asked.map(({ charge }, at) => ({ ...charge, cost: (now.decisions[at] as Decision).remaining + 1 })),
    );
    return asked.map(({ scope }, at) => {
      const { name, limit, remaining, resetAfterMs, retryAfterMs } = now.decisions[at] as Decision;
      const { retryAfterMs: nextUnitMs } = more.decisions[at] as Decision;
      return { scope, name, limit, remaining, resetAfterMs, retryAfterMs, nextUnitMs };
    });
  }

  /** Gives back what an outcome was charged and still counts; a second time gives back nothing. */
  async refund(outcome: Outcome): Promise<void> {
    if (this.#refunded.has(outcome)) return;
    this.#refunded.add(outcome);
    const charged = outcome.decisions.filter((decision) => decision.receipt !== null);
    if (charged.length > 0) await this.#parts.store.refund(charged);
  }

  /** Forgets what an identity was charged, and its blocks: under one scope, or everywhere. */
  async reset({
    scope,
    identity,
  }: {
    readonly scope?: Scope;
    readonly identity: IdentityInWords;
  }): Promise<void> {
    if (scope !== undefined) this.#parts.scopes.get(scope);
    await this.#parts.store.reset({ identity: this.#written(identity), scope });
  }

  /**
   * Denies an identity under every limit, for a while.
   *
   * @example
   * await limiter.block({ identity: 'ip:203.0.113.7', for: '15min' });
   */
  async block({
    identity,
    for: duration,
  }: {
    readonly identity: IdentityInWords;
    readonly for: Duration;
  }): Promise<void> {
    const forMs = parseDuration(duration);
    const written = this.#written(identity);
    if (this.#parts.enabled) await this.#parts.store.block(written, forMs);
  }

  /** Ends the blocks of an identity; what it was charged stays. */
  async unblock({ identity }: { readonly identity: IdentityInWords }): Promise<void> {
    await this.#parts.store.unblock(this.#written(identity));
  }

  /** An identity in words or as keys have written it. */
  #written(identity: IdentityInWords): string {
    return writtenIdentity(checkIdentity(identity), this.#parts.identity);
  }

  #charges(target: LimiterTarget<Scope>, cost: number): readonly Charge[] {
    const limits = this.#parts.scopes.get(target.scope);
    const identity = identityInWords(checkIdentity(target.identity), this.#parts.identity);
    return limits.flatMap((limit) => {
      const policy = policyOf(target.scope, limit, target);
      if (policy === null || !this.#parts.enabled) return [];
      return [{ policy, identity, cost, shadow: limit.shadow, blocks: limit.blocks }];
    });
  }
}
