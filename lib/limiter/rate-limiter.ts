import { lru } from 'tiny-lru';
import { isPromise } from '../core/awaitable.js';
import { type Charge, type Outcome, SKIPPED_OUTCOME, toOutcome } from '../core/decision.js';
import { type Duration, parseDuration } from '../core/duration.js';
import { type IdentityInput, normalizeIdentity } from '../identity/identity.js';
import type { IdentityFormat } from '../identity/key-forms.js';
import { validCostOrOne } from '../plan/limit-functions.js';
import type { ScopeName } from '../plan/register.js';
import { type GuardedStore, storeHealth } from '../resilience/guard-store.js';
import type { StoreHealth } from '../resilience/resilient-store.js';
import {
  type CompiledLimiter,
  compileLimiter,
  type LimiterCharge,
  type LimiterScopes,
  type LimiterTarget,
  policyForTarget,
  type RateLimiterOptions,
  requireIdentity,
  warnOnce,
} from './create.js';
import { bucketStatuses, type LimitStatus, limitStatus } from './status.js';

const MAX_NORMALIZED = 10_000;
/** Longer identities are not kept, since a client may have chosen them. */
const MAX_LENGTH = 100;

/**
 * Limits code outside a route: a queue worker, a cron job, calls to somebody else's API. The module provides
 * one for its own scopes and store; without Nest, create one yourself.
 *
 * @throws RateLimitConfigError for invalid options, and with at least one error of each wrong scope.
 * @example
 * const limiter = new RateLimiter({ scopes: { mail: '100/hour' } });
 * const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 3 });
 * if (!outcome.allowed) console.log(`Again in ${outcome.retryAfterMs} ms`);
 */
export class RateLimiter<Scope extends string = ScopeName> {
  readonly #scopes: LimiterScopes;
  readonly #store: GuardedStore;
  readonly #identityFormat: IdentityFormat;
  readonly #isEnabled: boolean;
  readonly #refunded = new WeakSet<Outcome>();
  /** Charged identities as keys write them: parsing an address takes as long as half a decision. */
  readonly #normalized = lru<string>(MAX_NORMALIZED);

  constructor(options: RateLimiterOptions<Scope>);
  /** @internal */
  constructor(...compiled: CompiledLimiter);
  constructor(...args: readonly [RateLimiterOptions<Scope>] | CompiledLimiter) {
    const compiled = args.length === 4 ? args : compileLimiter(args[0]);
    [this.#scopes, this.#store, this.#identityFormat, this.#isEnabled] = compiled;
  }

  /**
   * Charges an identity under a scope if the limits allow it. A denial charges nothing and is not an error.
   *
   * @throws RateLimitConfigError for an unknown scope, an identity that is not a text, or a scope whose rate
   *   needs a `rate` here.
   */
  async consume(target: LimiterCharge<Scope>): Promise<Outcome> {
    const charges = this.#charges(target, validCostOrOne(target.cost ?? 1, 'RateLimiter.consume', warnOnce));
    if (charges.length === 0) return SKIPPED_OUTCOME;
    const reply = this.#store.consume(charges);
    // A synchronous store is not awaited.
    const { decisions, degraded } = isPromise(reply) ? await reply : reply;
    return toOutcome(decisions, degraded);
  }

  /**
   * Returns the state of a scope's limits for an identity; charges nothing. `remaining`, `used` and `resetAfterMs` are
   * as they are now; `allowed` and `retryAfterMs` tell whether a charge of 1 would be admitted.
   */
  async peek(target: LimiterTarget<Scope>): Promise<Outcome> {
    const charges = this.#charges(target, 1);
    if (charges.length === 0) return SKIPPED_OUTCOME;
    const { decisions, degraded } = await this.#store.peek(charges);
    return toOutcome(decisions, degraded);
  }

  /**
   * Returns the state of every limit of an identity, under one scope or under all; charges nothing. Omits
   * scopes whose rate is a function, unless a `rate` is given, and, while the store fails, limits that need
   * it.
   *
   * @example
   * for (const { scope, remaining, nextUnitMs } of await limiter.status({ identity: 'user:42' })) {
   *   console.log(scope, remaining, nextUnitMs);
   * }
   */
  async status(
    target: Omit<LimiterTarget<Scope>, 'scope'> & { readonly scope?: Scope },
  ): Promise<readonly LimitStatus[]> {
    const names = target.scope === undefined ? this.#scopes.names : [target.scope];
    const charges: Charge[] = [];
    for (const name of names) {
      const hasRate =
        target.rate !== undefined || this.#scopes.get(name).every(({ rate }) => rate.kind !== 'function');
      if (hasRate) charges.push(...this.#charges({ ...target, scope: name as Scope }, 1));
    }
    return (await bucketStatuses(this.#store, charges)).map(limitStatus);
  }

  /**
   * Returns the health of the store, as this process sees it.
   *
   * @example
   * if (limiter.health().status === 'degraded') console.log('The store fails; limits continue without it.');
   */
  health(): StoreHealth {
    return storeHealth(this.#store);
  }

  /**
   * Gives back the charges of an outcome that still count. A second refund of the same outcome does nothing.
   */
  async refund(outcome: Outcome): Promise<void> {
    if (this.#refunded.has(outcome)) return;
    this.#refunded.add(outcome);
    const charged = outcome.decisions.filter((decision) => decision.receipt !== null);
    if (charged.length > 0) await this.#store.refund(charged);
  }

  /** Removes the charges and the blocks of an identity, under one scope or everywhere. */
  async reset(target: { readonly scope?: Scope; readonly identity: IdentityInput }): Promise<void> {
    const { scope, identity } = target;
    // Throws for an unknown scope.
    if (scope !== undefined) this.#scopes.get(scope);
    await this.#store.reset({ identity: this.normalize(identity), scope });
  }

  /**
   * Denies an identity under every limit for this duration.
   *
   * @example
   * await limiter.block({ identity: 'ip:203.0.113.7', for: '15min' });
   */
  async block(target: { readonly identity: IdentityInput; readonly for: Duration }): Promise<void> {
    const durationMs = parseDuration(target.for);
    const normalized = this.normalize(target.identity);
    if (this.#isEnabled) await this.#store.block(normalized, durationMs);
  }

  /** Ends the blocks of an identity; its charges stay. */
  async unblock({ identity }: { readonly identity: IdentityInput }): Promise<void> {
    await this.#store.unblock(this.normalize(identity));
  }

  /** @internal Returns an identity as keys write it; accepts one that is written so already. */
  normalize(identity: IdentityInput): string {
    return this.#normalize(identity, true);
  }

  #normalize(identity: IdentityInput, acceptCanonical: boolean): string {
    return normalizeIdentity(requireIdentity(identity), this.#identityFormat, { acceptCanonical });
  }

  #charged(identity: IdentityInput): string {
    if (typeof identity !== 'string' || identity.length > MAX_LENGTH) return this.#normalize(identity, false);
    const known = this.#normalized.get(identity);
    if (known !== undefined) return known;
    const normalized = this.#normalize(identity, false);
    this.#normalized.set(identity, normalized);
    return normalized;
  }

  #charges(target: LimiterTarget<Scope>, cost: number): readonly Charge[] {
    const limits = this.#scopes.get(target.scope);
    const identity = this.#charged(target.identity);
    const charges: Charge[] = [];
    for (const limit of limits) {
      const policy = policyForTarget(limit, target);
      if (policy === null || !this.#isEnabled) continue;
      const { shadow, blockDurationsMs } = limit;
      charges.push({ policy, identity, cost, shadow, blockDurationsMs });
    }
    return charges;
  }
}
