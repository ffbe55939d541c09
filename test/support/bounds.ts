import type { Policy } from '../../lib/core/policy.js';

/** A charge that a store has admitted, at its own time. */
export interface Admission {
  readonly atMs: number;
  readonly cost: number;
}

/** The most that was admitted in any window [t, t + windowMs). */
export function mostInAnyWindow(admissions: readonly Admission[], windowMs: number): number {
  let most = 0;
  let sum = 0;
  let from = 0;
  for (const { atMs, cost } of admissions) {
    sum += cost;
    while ((admissions[from] as Admission).atMs + windowMs <= atMs)
      sum -= (admissions[from++] as Admission).cost;
    most = Math.max(most, sum);
  }
  return most;
}

/** The most in any window that starts with its first admission and ends one window later. */
export function mostInItsWindows(admissions: readonly Admission[], windowMs: number): number {
  let most = 0;
  let sum = 0;
  let startMs = Number.NEGATIVE_INFINITY;
  for (const { atMs, cost } of admissions) {
    // A cost of 0 starts no window.
    if (cost > 0 && startMs + windowMs <= atMs) {
      startMs = atMs;
      sum = 0;
    }
    sum += cost;
    most = Math.max(most, sum);
  }
  return most;
}

/** By how much spans of any length exceed burst + limit * length / window; 0 or less keeps the bound. */
export function mostOverBucket(
  admissions: readonly Admission[],
  { limit, windowMs, capacity }: Policy,
): number {
  let worst = Number.NEGATIVE_INFINITY;
  let lastMs = 0;
  // The excess of the worst span that ends here beyond its share of time, times the window.
  let held = 0;
  for (const { atMs, cost } of admissions) {
    held = held - limit * (atMs - lastMs) + cost * windowMs;
    if (held < cost * windowMs) held = cost * windowMs;
    if (held > worst) worst = held;
    lastMs = atMs;
  }
  return worst / windowMs - capacity;
}

/** Returns true if the admitted requests keep the bound that the policy's algorithm promises. */
export function keepsBound(admissions: readonly Admission[], policy: Policy): boolean {
  switch (policy.algorithm) {
    case 'sliding-window':
      return mostInAnyWindow(admissions, policy.windowMs) <= policy.limit;
    case 'fixed-window':
      return mostInItsWindows(admissions, policy.windowMs) <= policy.limit;
    case 'token-bucket':
      return mostOverBucket(admissions, policy) <= 0;
  }
}
