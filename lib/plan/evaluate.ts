import type { Awaitable } from '../core/awaitable.js';
import type { Charge } from '../core/decision.js';
import type { Limit } from './limit.js';

/** Returns who is charged under a limit, or null to skip it. */
export type IdentityResolver<Context> = (context: Context, limit: Limit<Context>) => Awaitable<string | null>;

async function chargeOf<Context extends { readonly method: string | undefined }>(
  limit: Limit<Context>,
  context: Context,
  identityOf: IdentityResolver<Context>,
): Promise<Charge | null> {
  if (limit.methods !== null && !limit.methods.has(context.method ?? '')) return null;
  if (limit.condition !== null && !(await limit.condition(context))) return null;
  const identity = await identityOf(context, limit);
  if (identity === null) return null;
  const { rate, cost, shadow, blockDurationsMs } = limit;
  // Both are asked before either is awaited.
  const asked = typeof cost === 'number' ? cost : cost(context);
  const policy = rate.kind === 'fixed' ? rate.policy : await rate.policyFor(context);
  const units = typeof asked === 'number' ? asked : await asked;
  return policy === null ? null : { policy, identity, cost: units, shadow, blockDurationsMs };
}

/** Returns the charges of a request. Functions of the application are asked for all limits at the same time. */
export async function evaluate<Context extends { readonly method: string | undefined }>(
  limits: readonly Limit<Context>[],
  context: Context,
  identityOf: IdentityResolver<Context>,
): Promise<readonly Charge[]> {
  const charges = await Promise.all(limits.map((limit) => chargeOf(limit, context, identityOf)));
  return charges.filter((charge) => charge !== null);
}
