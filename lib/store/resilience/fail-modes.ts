import type { Charge, Decision } from '../../core/decision.js';
import { StoreUnavailableError } from '../store.js';

/**
 * Decides a request without the store, as the fail modes of its limits say: any `closed` one refuses it, else
 * `local` ones are decided by `local`, and `open` ones are left out. A shadow limit refuses nobody.
 *
 * @throws StoreUnavailableError for a `closed` limit.
 */
export function decideWithout(
  charges: readonly Charge[],
  local: (charges: readonly Charge[]) => readonly Decision[],
  retryAfterMs: number,
  cause: unknown,
): readonly Decision[] {
  const closed = charges.filter(({ policy, shadow }) => policy.failMode === 'closed' && !shadow);
  if (closed.length > 0) {
    const limits = closed.map(({ policy }) => policy.name);
    throw new StoreUnavailableError(retryAfterMs, limits, cause);
  }
  const decided = charges.filter(({ policy }) => policy.failMode === 'local');
  return decided.length === 0 ? [] : local(decided);
}
