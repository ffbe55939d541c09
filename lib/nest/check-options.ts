import type { Problems } from '../core/errors.js';
import { ALGORITHM_NAMES } from '../core/policy.js';
import { shown } from '../core/shown.js';
import type { RateLimitAsyncResult } from './options.js';

type OptionName = keyof RateLimitAsyncResult;

interface Rule {
  readonly fits: (value: unknown) => boolean;
  /** What to give instead. */
  readonly mend: string;
}

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isBits = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 128;

const STORE_METHODS = ['consume', 'peek', 'refund', 'reset', 'block', 'unblock'];
const isStore = (value: unknown): boolean =>
  isObject(value) && STORE_METHODS.every((method) => method in value);

const A_FUNCTION = 'Give a function, or leave it out.';

const RULES: Readonly<Record<OptionName, Rule>> = {
  store: { fits: isStore, mend: 'Give a Store, such as new MemoryStore(), or leave it out.' },
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
  tier: { fits: isFunction, mend: A_FUNCTION },
  user: { fits: isFunction, mend: A_FUNCTION },
  exempt: { fits: isFunction, mend: A_FUNCTION },
  enabled: { fits: (value) => typeof value === 'boolean', mend: 'Give true or false.' },
  headers: {
    fits: (value) => value === false || isObject(value),
    mend: 'Give an object of names, false for none, or leave it out.',
  },
  body: {
    fits: (value) => value === 'json' || value === 'problem' || isFunction(value),
    mend: `Give 'json', 'problem' or a function.`,
  },
  secret: {
    fits: (value) => typeof value === 'string' && value !== '',
    mend: 'Give a text that is not empty, the same to every process.',
  },
  shadow: { fits: (value) => typeof value === 'boolean', mend: 'Give true or false.' },
  allow: { fits: Array.isArray, mend: `Give a list, such as ['10.0.0.0/8'].` },
  deny: { fits: Array.isArray, mend: `Give a list, such as ['203.0.113.7'].` },
  trustProxy: {
    fits: (value) => ['number', 'string'].includes(typeof value) || Array.isArray(value),
    mend: `Give a number of hops, or networks such as '10.0.0.0/8'.`,
  },
  ipv6Prefix: { fits: isBits, mend: 'Give a number of bits from 1 to 128; 64 is usual.' },
};

export const OPTION_NAMES: readonly string[] = Object.keys(RULES);

/** The options that can be meant; of the others `problems` hears, and their defaults stand in. */
export function checkedOptions(options: unknown, problems: Problems): RateLimitAsyncResult {
  const bad = (what: string, mend: string) => problems.add('bad-option', 'RateLimitModule', what, mend);
  if (!isObject(options)) {
    bad(
      `${shown(options)} stands where the options belong.`,
      `Give an object, such as { scopes: { login: '5/15min' } }.`,
    );
    return {};
  }
  const good: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    const rule = RULES[name as OptionName] as Rule | undefined;
    if (rule === undefined) {
      const mend =
        name === 'registerGuard'
          ? 'Move it beside useFactory: it has to be known before that runs.'
          : `The options are ${OPTION_NAMES.join(', ')}.`;
      bad(`There is no option ${shown(name)} here.`, mend);
    } else if (value === undefined || rule.fits(value)) good[name] = value;
    else bad(`${name} cannot be ${shown(value)}.`, rule.mend);
  }
  return good;
}
