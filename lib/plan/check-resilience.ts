import { FAIL_MODES } from '../core/policy.js';
import type { ResilienceOptions } from '../store/resilience/resilience.js';
import { checkOption, isObject, isWhole, type OptionRules, oneOf } from './option-rules.js';

const LONGEST_MS = 60_000;

const isBreaker = (value: unknown): boolean => {
  if (!isObject(value)) return false;
  const { threshold, pauseMs, ...others } = value as Record<string, unknown>;
  const fits = [isWhole(1, 1_000)(threshold ?? 1), isWhole(1, 1_000)(pauseMs ?? 1)];
  return fits.every(Boolean) && Object.keys(others).length === 0;
};

/** What may be said of a store that fails. */
export const RESILIENCE_RULES: OptionRules<keyof ResilienceOptions | 'failMode'> = {
  failMode: oneOf(...FAIL_MODES),
  timeoutMs: { fits: isWhole(1, LONGEST_MS), mend: 'Give whole milliseconds from 1 to 60000; 100 is usual.' },
  instances: { fits: isWhole(1, 1_000_000), mend: 'Give how many processes there are, 1 or more.' },
  breaker: { fits: isBreaker, mend: 'Give { threshold: 5, pauseMs: 100 }, either or both.' },
};

/** Throws `bad-option` for what cannot be meant. */
export function checkResilience(options: ResilienceOptions): void {
  const given = options as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(RESILIENCE_RULES)) checkOption(name, given[name], RESILIENCE_RULES, 'here');
}
