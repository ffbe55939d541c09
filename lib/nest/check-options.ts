import { mistake, type Problems } from '../core/errors.js';
import { ALGORITHM_NAMES } from '../core/policy.js';
import { shown } from '../core/shown.js';
import { RESILIENCE_RULES } from '../plan/check-resilience.js';
import {
  A_BOOLEAN,
  A_FUNCTION,
  checkOption,
  isFunction,
  isObject,
  isText,
  isWhole,
  type OptionRules,
  oneOf,
} from '../plan/option-rules.js';
import { DEFAULT_KEEP_HOURS, MOST_HOURS } from '../stats/stats.js';
import type { RateLimitAsyncResult } from './options.js';

const STORE_METHODS = ['consume', 'peek', 'refund', 'reset', 'block', 'unblock'];
const isStore = (value: unknown): boolean =>
  isObject(value) && STORE_METHODS.every((method) => method in value);

const METER_METHODS = ['createHistogram', 'createObservableCounter', 'createObservableGauge'];

const isStatistics = (value: unknown): boolean => {
  if (!isObject(value)) return false;
  const { keepHours = 1, ...others } = value as Record<string, unknown>;
  return isWhole(1, MOST_HOURS)(keepHours) && Object.keys(others).length === 0;
};

const RULES: OptionRules<keyof RateLimitAsyncResult> = {
  store: {
    fits: isStore,
    mend: 'Give a Store, such as new RedisStore() of nestjs-ratelimit/redis, or leave it out for one in memory.',
  },
  scopes: { fits: isObject, mend: `Give rates by name, such as { login: '5/15min' }.` },
  limits: { fits: Array.isArray, mend: `Give a list, such as [{ name: 'burst', rate: '60/min' }].` },
  key: {
    fits: (value) => typeof value === 'string' || isFunction(value),
    mend: `Give a key such as 'ip' or 'user|ip', or a function of the context.`,
  },
  algorithm: {
    fits: (value) => (ALGORITHM_NAMES as readonly unknown[]).includes(value),
    mend: `Choose one of ${ALGORITHM_NAMES.join(', ')}.`,
  },
  tier: A_FUNCTION,
  user: A_FUNCTION,
  exempt: A_FUNCTION,
  enabled: A_BOOLEAN,
  headers: {
    fits: (value) => value === false || isObject(value),
    mend: 'Give an object of names, false for none, or leave it out.',
  },
  body: {
    fits: (value) => value === 'json' || value === 'problem' || isFunction(value),
    mend: `Give 'json', 'problem' or a function.`,
  },
  secret: { fits: isText, mend: 'Give a text that is not empty, the same to every process.' },
  shadow: A_BOOLEAN,
  allow: { fits: Array.isArray, mend: `Give a list, such as ['10.0.0.0/8'].` },
  deny: { fits: Array.isArray, mend: `Give a list, such as ['203.0.113.7'].` },
  trustProxy: {
    fits: (value) => ['number', 'string'].includes(typeof value) || Array.isArray(value),
    mend: `Give a number of hops, or networks such as '10.0.0.0/8'.`,
  },
  logDenials: A_BOOLEAN,
  logIdentities: oneOf('plain', 'hashed', 'none'),
  meter: {
    fits: (value) => isObject(value) && METER_METHODS.every((method) => method in value),
    mend: `Give a Meter, such as metrics.getMeter('nestjs-ratelimit') of @opentelemetry/api.`,
  },
  statistics: {
    fits: (value) => typeof value === 'boolean' || isStatistics(value),
    mend: `Give true, false or { keepHours: ${DEFAULT_KEEP_HOURS} }, with up to ${MOST_HOURS} hours.`,
  },
  ...RESILIENCE_RULES,
  ipv6Prefix: { fits: isWhole(1, 128), mend: 'Give a number of bits from 1 to 128; 64 is usual.' },
};

export const OPTION_NAMES: readonly string[] = Object.keys(RULES);

/** Throws `bad-option` for an option of the module that there is not, or that cannot be meant. */
function checkModuleOption(name: string, value: unknown): void {
  if (name === 'registerGuard') {
    throw mistake(
      'bad-option',
      'There is no option "registerGuard" here.',
      'Move it beside useFactory: it has to be known before that runs.',
    );
  }
  checkOption(name, value, RULES, 'here');
}

/** The options that can be meant; of the others `problems` hears, and their defaults stand in. */
export function checkedOptions(options: unknown, problems: Problems): RateLimitAsyncResult {
  const place = 'RateLimitModule';
  if (!isObject(options)) {
    problems.add(
      'bad-option',
      place,
      `${shown(options)} stands where the options belong.`,
      `Give an object, such as { scopes: { login: '5/15min' } }.`,
    );
    return {};
  }
  const good: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    problems.try(place, () => {
      checkModuleOption(name, value);
      good[name] = value;
    });
  }
  return good;
}
