import { isPromise } from '../core/awaitable.js';
import { type Charge, type Outcome, SKIPPED_OUTCOME, toOutcome } from '../core/decision.js';
import { type Duration, parseDuration } from '../core/duration.js';
import { type IdentityInput, identityFromInput, normalizeIdentity } from '../identity/identity.js';
import { validCostOrOne } from '../plan/cost.js';
import type { ScopeName } from '../plan/register.js';
import type { StoreHealth } from '../resilience/health.js';
import {
  type LimiterCharge,
  LimiterParts,
  type LimiterTarget,
  partsOf,
  policyForTarget,
  type RateLimiterOptions,
  requireIdentity,
  warnOnce,
} from './create.js';
import { bucketStatuses } from './status.js';

/** How one limit stands for an identity. */
export interface LimitStatus {
  /** The scope that the limit belongs to. */
  readonly scope: string;
  /** The limit's name, as clients see it. */
  readonly name: string;
  /** Units that the limit admits at once: its burst with a token bucket. */
  readonly limit: number;
  /** Units left; 0 while it is blocked. */
  readonly remaining: number;
  /** Milliseconds until nothing counts any more. */
  readonly resetAfterMs: number;
  /** 0 when a cost of 1 passes now, else the wait; null when no wait helps. */
  readonly retryAfterMs: number | null;
  /** Milliseconds until there is a unit more than remains now; null when none will be, as in a full bucket. */
  readonly nextUnitMs: number | null;
  /** For how many milliseconds a block denies everything; 0 when none does. */
  readonly blockedForMs: number;
}

/**
 * Limits for code outside a route: a queue worker, a cron job, calls to somebody else's API. The module
 * provides one over its own scopes and store; without Nest, make one yourself.
 *
 * @throws RateLimitConfigError with every mistake in the scopes.
 * @example
 * const limiter = new RateLimiter({ scopes: { mail: '100/hour' } });
 * const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 3 });
 * if (!outcome.allowed) console.log(`Again in ${outcome.retryAfterMs} ms`);
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
    const charges = this.#charges(target, validCostOrOne(target.cost ?? 1, 'RateLimiter.consume', warnOnce));
    if (charges.length === 0) return SKIPPED_OUTCOME;
    const reply = this.#parts.store.consume(charges);
    // A store that answers at once is not waited for.
    const { decisions, degraded } = isPromise(reply) ? await reply : reply;
    return toOutcome(decisions, degraded);
  }

  /** What a charge of 1 would be answered now; charges nothing. */
  async peek(target: LimiterTarget<Scope>): Promise<Outcome> {
    const charges = this.#charges(target, 1);
    if (charges.length === 0) return SKIPPED_OUTCOME;
    const { decisions, degraded } = await this.#parts.store.peek(charges);
    return toOutcome(decisions, degraded);
  }

  /**
   * How every limit of an identity stands, under one scope or under all; charges nothing. Scopes whose rate
   * is a function are left out unless a `rate` is given; while the store fails, those that need it, too.
   *
   * @example
   * for (const { scope, remaining, nextUnitMs } of await limiter.status({ identity: 'user:42' })) {
   *   console.log(scope, remaining, nextUnitMs);
   * }
   */
  async status(
    target: Omit<LimiterTarget<Scope>, 'scope'> & { readonly scope?: Scope },
  ): Promise<readonly LimitStatus[]> {
    const { scopes, store } = this.#parts;
    const names = target.scope === undefined ? scopes.names : [target.scope];
    const charges: Charge[] = [];
    for (const scope of names) {
      const isKnown =
        target.rate !== undefined || scopes.get(scope).every(({ rate }) => rate.kind !== 'function');
      if (isKnown) charges.push(...this.#charges({ ...target, scope: scope as Scope }, 1));
    }
    const statuses = await bucketStatuses(store, charges);
    return statuses.map(({ decision, nextUnitMs }) => {
      const { name, limit, remaining, resetAfterMs, retryAfterMs, blockedForMs, charge } = decision;
      const { scope } = charge.policy;
      return { scope, name, limit, remaining, resetAfterMs, retryAfterMs, nextUnitMs, blockedForMs };
    });
  }

  /**
   * How the store is doing, as this process sees it.
   *
   * @example
   * if (limiter.health().status === 'degraded') console.log('The store fails; limits go on without it.');
   */
  health(): StoreHealth {
    return this.#parts.store.health();
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
    readonly identity: IdentityInput;
  }): Promise<void> {
    if (scope !== undefined) this.#parts.scopes.get(scope);
    await this.#parts.store.reset({ identity: this.#normalize(identity), scope });
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
    readonly identity: IdentityInput;
    readonly for: Duration;
  }): Promise<void> {
    const forMs = parseDuration(duration);
    const written = this.#normalize(identity);
    if (this.#parts.enabled) await this.#parts.store.block(written, forMs);
  }

  /** Ends the blocks of an identity; what it was charged stays. */
  async unblock({ identity }: { readonly identity: IdentityInput }): Promise<void> {
    await this.#parts.store.unblock(this.#normalize(identity));
  }

  /** An identity in words or as keys have written it. */
  #normalize(identity: IdentityInput): string {
    return normalizeIdentity(requireIdentity(identity), this.#parts.identity);
  }

  #charges(target: LimiterTarget<Scope>, cost: number): readonly Charge[] {
    const limits = this.#parts.scopes.get(target.scope);
    const identity = identityFromInput(requireIdentity(target.identity), this.#parts.identity);
    const charges: Charge[] = [];
    for (const limit of limits) {
      const policy = policyForTarget(limit, target);
      if (policy === null || !this.#parts.enabled) continue;
      charges.push({
        policy,
        identity,
        cost,
        shadow: limit.shadow,
        blockDurationsMs: limit.blockDurationsMs,
      });
    }
    return charges;
  }
}
