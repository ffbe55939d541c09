import type { ErrorCollector } from '../../core/errors.js';
import {
  acceptedOptions,
  areOptions,
  BOOLEAN,
  FUNCTION,
  isFunction,
  isInteger,
  isNonEmptyString,
  isObject,
  type OptionRules,
  oneOf,
} from '../../core/validate.js';
import { RATE_LIMITER_RULES } from '../../limiter/create.js';
import { DEFAULT_KEEP_HOURS, KEEP_HOURS_RULE, MAX_HOURS } from '../../observe/stats/stats.js';
import type { RateLimitAsyncResult, StatisticsOptions } from './options.js';

const METER_METHODS = ['createHistogram', 'createObservableCounter', 'createObservableGauge'];

const STATISTICS_RULES: OptionRules<keyof StatisticsOptions> = { keepHours: KEEP_HOURS_RULE };

const RULES: OptionRules<keyof RateLimitAsyncResult> = {
  ...RATE_LIMITER_RULES,
  limits: { accepts: Array.isArray, fix: `Give a list, such as [{ name: 'burst', rate: '60/min' }].` },
  key: {
    accepts: (value) => typeof value === 'string' || isFunction(value),
    fix: `Give a key such as 'ip' or 'user|ip', or a function of the context.`,
  },
  tier: FUNCTION,
  user: FUNCTION,
  exempt: FUNCTION,
  enabled: BOOLEAN,
  headers: {
    accepts: (value) => value === false || isObject(value),
    fix: 'Give an object of names, or false for none, or leave it out.',
  },
  body: {
    accepts: (value) => value === 'json' || value === 'problem' || isFunction(value),
    fix: `Give 'json', 'problem' or a function.`,
  },
  secret: {
    accepts: isNonEmptyString,
    fix: 'Give a text that is not empty, the same text in every process.',
  },
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
    accepts: (value) => typeof value === 'boolean' || areOptions(STATISTICS_RULES)(value),
    fix: `Give true, false or { keepHours: ${DEFAULT_KEEP_HOURS} }, with up to ${MAX_HOURS} hours.`,
  },
  ipv6Prefix: {
    accepts: isInteger(1, 128),
    fix: 'Give a number of bits from 1 to 128; 64 is usual.',
  },
};

export const OPTION_NAMES: readonly string[] = Object.keys(RULES);

const SOURCE = 'RateLimitModule';

/** Returns the valid options; the others are errors, and their defaults apply. */
export function validateModuleOptions(options: unknown, errors: ErrorCollector): RateLimitAsyncResult {
  if (!isObject(options) || !('registerGuard' in options)) {
    return acceptedOptions(options, RULES, errors, SOURCE);
  }
  errors.add(
    'bad-option',
    SOURCE,
    'The option "registerGuard" cannot come from a factory.',
    'Move it beside useFactory: it has to be known before the factory runs.',
  );
  const { registerGuard: _misplaced, ...others } = options;
  return acceptedOptions(others, RULES, errors, SOURCE);
}
