import { validateHeaderName } from 'node:http';
import { serializeItem } from 'structured-headers';
import type { Outcome } from '../core/decision.js';
import { configError, describeValue } from '../core/errors.js';
import type { Policy } from '../core/policy.js';
import { isObject, type OptionRule, type OptionRules, validateOptions } from '../core/validate.js';
import { retryAfterSeconds, toSeconds } from './duration-words.js';

/** The headers that tell clients about their limits, and their names. */
export interface HeaderOptions {
  /**
   * The three headers of the limit that decided, or false for none. Default `X-RateLimit-Limit`, `-Remaining`
   * and `-Reset`.
   */
  readonly legacy?: false | { readonly limit?: string; readonly remaining?: string; readonly reset?: string };
  /**
   * The two headers of the IETF draft, for all limits, or false for none. Default `RateLimit-Policy` and
   * `RateLimit`. Source: draft-ietf-httpapi-ratelimit-headers-11.
   */
  readonly standard?: false | { readonly policy?: string; readonly limits?: string };
  /** The header with the wait after a denial, or false for none. Default `Retry-After`. */
  readonly retryAfter?: false | string;
}

/** Names and values in turn: `[name, value, name, value, ...]`. */
export type HeaderList = readonly string[];

interface Names {
  readonly legacy: Readonly<Record<keyof typeof DEFAULTS.legacy, string>> | null;
  readonly standard: Readonly<Record<keyof typeof DEFAULTS.standard, string>> | null;
  readonly retryAfter: string | null;
}

const DEFAULTS = {
  legacy: { limit: 'X-RateLimit-Limit', remaining: 'X-RateLimit-Remaining', reset: 'X-RateLimit-Reset' },
  standard: { policy: 'RateLimit-Policy', limits: 'RateLimit' },
  retryAfter: 'Retry-After',
} as const;

const FAMILY_RULE: OptionRule = {
  accepts: (value) => value === false || isObject(value),
  fix: 'Give an object of header names, or false for none.',
};

// The names themselves are checked once the defaults are in place.
const RULES: OptionRules<keyof HeaderOptions> = {
  legacy: FAMILY_RULE,
  standard: FAMILY_RULE,
  retryAfter: null,
};
const FAMILY_RULES = {
  legacy: { limit: null, remaining: null, reset: null },
  standard: { policy: null, limits: null },
};

/** Returns the names of one family of headers, with defaults; null when it is switched off. */
function resolveFamily<Name extends string>(
  family: keyof typeof FAMILY_RULES,
  given: false | Partial<Record<Name, string>>,
  defaults: Record<Name, string>,
): Record<Name, string> | null {
  if (given === false) return null;
  validateOptions(given, FAMILY_RULES[family], `headers.${family}`);
  const names = given;
  const all = Object.entries(defaults).map(([name, usual]) => [name, names[name as Name] ?? usual]);
  return Object.fromEntries(all) as Record<Name, string>;
}

function resolveNames(options: HeaderOptions): Names {
  validateOptions(options, RULES, 'headers');
  const { legacy = {}, standard = {}, retryAfter = DEFAULTS.retryAfter } = options;
  return {
    legacy: resolveFamily('legacy', legacy, DEFAULTS.legacy),
    standard: resolveFamily('standard', standard, DEFAULTS.standard),
    retryAfter: retryAfter === false ? null : retryAfter,
  };
}

/** The parts of the two IETF headers that are the same for every response of a policy. */
interface StructuredItems {
  readonly policy: string;
  readonly name: string;
}

const itemsByPolicy = new WeakMap<Policy, StructuredItems>();

function structuredItems(policy: Policy): StructuredItems {
  let items = itemsByPolicy.get(policy);
  if (items === undefined) {
    const quota = new Map([
      ['q', policy.capacity],
      ['w', toSeconds(policy.refillMs)],
    ]);
    items = { policy: serializeItem([policy.name, quota]), name: serializeItem(policy.name) };
    itemsByPolicy.set(policy, items);
  }
  return items;
}

/** Formats outcomes as headers. */
export class RateLimitHeaders {
  readonly #names: Names;
  /** Every header that the response to an admitted request may carry. */
  readonly names: readonly string[];

  /** @throws RateLimitConfigError `bad-header-name` for a name that no header can have. */
  constructor(options: HeaderOptions) {
    this.#names = resolveNames(options);
    const { legacy, standard, retryAfter } = this.#names;
    this.names = [...Object.values(legacy ?? {}), ...Object.values(standard ?? {})];
    for (const name of [...this.names, ...(retryAfter === null ? [] : [retryAfter])]) requireHeaderName(name);
  }

  /** Returns the headers of a response; none when no limit has decided on it. */
  format({ decidedBy, decisions }: Outcome): HeaderList {
    if (decidedBy === null) return [];
    const { legacy, standard, retryAfter } = this.#names;
    const list: string[] = [];
    if (legacy !== null) {
      list.push(legacy.limit, String(decidedBy.limit), legacy.remaining, String(decidedBy.remaining));
      list.push(legacy.reset, String(toSeconds(decidedBy.atMs + decidedBy.resetAfterMs)));
    }
    if (standard !== null) {
      let policies = '';
      let limits = '';
      for (const { charge, remaining, resetAfterMs } of decisions) {
        if (charge.shadow) continue;
        const items = structuredItems(charge.policy);
        if (policies !== '') {
          policies += ', ';
          limits += ', ';
        }
        policies += items.policy;
        limits += `${items.name};r=${remaining};t=${toSeconds(resetAfterMs)}`;
      }
      list.push(standard.policy, policies, standard.limits, limits);
    }
    const seconds = decidedBy.allowed ? null : retryAfterSeconds(decidedBy.retryAfterMs);
    if (retryAfter !== null && seconds !== null) list.push(retryAfter, String(seconds));
    return list;
  }
}

function requireHeaderName(name: unknown): void {
  try {
    validateHeaderName(name as string);
  } catch {
    throw configError(
      'bad-header-name',
      `${describeValue(name)} cannot name a header.`,
      'Use letters, digits and hyphens, or false to leave the header out.',
    );
  }
}
