import { configError, describeValue, type ErrorCollector } from '../../core/errors.js';
import { ALGORITHM_NAMES } from '../../core/policy.js';
import {
  BOOLEAN,
  FUNCTION,
  isFunction,
  isInteger,
  isNonEmptyString,
  isObject,
  type OptionRules,
  oneOf,
  validateOption,
} from '../../core/validate.js';
import { RESILIENCE_RULES } from '../../limiter/resilience-options.js';
import { DEFAULT_KEEP_HOURS, MAX_HOURS } from '../../observe/stats/stats.js';
import type { RateLimitAsyncResult } from './options.js';

const STORE_METHODS = ['consume', 'peek', 'refund', 'reset', 'block', 'unblock'];
const isStore = (value: unknown): boolean =>
  isObject(value) && STORE_METHODS.every((method) => method in value);

const METER_METHODS = ['createHistogram', 'createObservableCounter', 'createObservableGauge'];

const isStatistics = (value: unknown): boolean => {
  if (!isObject(value)) return false;
  const { keepHours = 1, ...others } = value as Record<string, unknown>;
  return isInteger(1, MAX_HOURS)(keepHours) && Object.keys(others).length === 0;
};

const RULES: OptionRules<keyof RateLimitAsyncResult> = {
  store: {
    accepts: isStore,
    fix: 'Give a Store, such as new RedisStore() of nestjs-ratelimit/redis, or leave it out for one in memory.',
  },
  scopes: { accepts: isObject, fix: `Give rates by name, such as { login: '5/15min' }.` },
  limits: { accepts: Array.isArray, fix: `Give a list, such as [{ name: 'burst', rate: '60/min' }].` },
  key: {
    accepts: (value) => typeof value === 'string' || isFunction(value),
    fix: `Give a key such as 'ip' or 'user|ip', or a function of the context.`,
  },
  algorithm: {
    accepts: (value) => (ALGORITHM_NAMES as readonly unknown[]).includes(value),
    fix: `Choose one of ${ALGORITHM_NAMES.join(', ')}.`,
  },
  tier: FUNCTION,
  user: FUNCTION,
  exempt: FUNCTION,
  enabled: BOOLEAN,
  headers: {
    accepts: (value) => value === false || isObject(value),
    fix: 'Give an object of names, false for none, or leave it out.',
  },
  body: {
    accepts: (value) => value === 'json' || value === 'problem' || isFunction(value),
    fix: `Give 'json', 'problem' or a function.`,
  },
  secret: { accepts: isNonEmptyString, fix: 'Give a text that is not empty, the same to every process.' },
  shadow: BOOLEAN,
  allow: { accepts: Array.isArray, fix: `Give a list, such as ['10.0.0.0/8'].` },
  deny: { accepts: Array.isArray, fix: `Give a list, such as ['203.0.113.7'].` },
  trustProxy: {
    accepts: (value) => ['number', 'string'].includes(typeof value) || Array.isArray(value),
    fix: `Give a number of hops, or networks such as '10.0.0.0/8'.`,
  },
  logDenials: BOOLEAN,
  logIdentities: oneOf('plain', 'hashed', 'none'),
  meter: {
    accepts: (value) => isObject(value) && METER_METHODS.every((method) => method in value),
    fix: `Give a Meter, such as metrics.getMeter('nestjs-ratelimit') of @opentelemetry/api.`,
  },
  statistics: {
    accepts: (value) => typeof value === 'boolean' || isStatistics(value),
    fix: `Give true, false or { keepHours: ${DEFAULT_KEEP_HOURS} }, with up to ${MAX_HOURS} hours.`,
  },
  ...RESILIENCE_RULES,
  ipv6Prefix: { accepts: isInteger(1, 128), fix: 'Give a number of bits from 1 to 128; 64 is usual.' },
};

export const OPTION_NAMES: readonly string[] = Object.keys(RULES);

/** Throws `bad-option` for an option of the module that there is not, or that cannot be meant. */
function validateModuleOption(name: string, value: unknown): void {
  if (name === 'registerGuard') {
    throw configError(
      'bad-option',
      'There is no option "registerGuard" here.',
      'Move it beside useFactory: it has to be known before that runs.',
    );
  }
  validateOption(name, value, RULES, 'here');
}

/** The options that can be meant; of the others `errors` hears, and their defaults stand in. */
export function validateModuleOptions(options: unknown, errors: ErrorCollector): RateLimitAsyncResult {
  const source = 'RateLimitModule';
  if (!isObject(options)) {
    errors.add(
      'bad-option',
      source,
      `${describeValue(options)} stands where the options belong.`,
      `Give an object, such as { scopes: { login: '5/15min' } }.`,
    );
    return {};
  }
  const good: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    errors.try(source, () => {
      validateModuleOption(name, value);
      good[name] = value;
    });
  }
  return good;
}
