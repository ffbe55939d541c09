import { FAIL_MODES } from '../core/policy.js';
import { isInteger, isObject, type OptionRules, oneOf, validateOption } from '../core/validate.js';
import type { ResilienceOptions } from '../resilience/options.js';

const MAX_TIMEOUT_MS = 60_000;

const isBreaker = (value: unknown): boolean => {
  if (!isObject(value)) return false;
  const { threshold, initialBackoffMs, ...others } = value as Record<string, unknown>;
  const fits = [isInteger(1, 1_000)(threshold ?? 1), isInteger(1, 1_000)(initialBackoffMs ?? 1)];
  return fits.every(Boolean) && Object.keys(others).length === 0;
};

/** What may be said of a store that fails. */
export const RESILIENCE_RULES: OptionRules<keyof ResilienceOptions | 'failMode'> = {
  failMode: oneOf(...FAIL_MODES),
  timeoutMs: {
    accepts: isInteger(1, MAX_TIMEOUT_MS),
    fix: 'Give whole milliseconds from 1 to 60000; 100 is usual.',
  },
  instances: { accepts: isInteger(1, 1_000_000), fix: 'Give how many processes there are, 1 or more.' },
  breaker: { accepts: isBreaker, fix: 'Give { threshold: 5, initialBackoffMs: 100 }, either or both.' },
};

/** Throws `bad-option` for what cannot be meant. */
export function validateResilience(options: ResilienceOptions): void {
  const given = options as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(RESILIENCE_RULES))
    validateOption(name, given[name], RESILIENCE_RULES, 'here');
}
