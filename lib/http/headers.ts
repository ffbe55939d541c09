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

const DEFAULTS = {
  legacy: { limit: 'X-RateLimit-Limit', remaining: 'X-RateLimit-Remaining', reset: 'X-RateLimit-Reset' },
  standard: { policy: 'RateLimit-Policy', limits: 'RateLimit' },
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

/** Returns the names of one family of headers, with defaults; null when it is switched off. */
function resolveFamily<Name extends string>(
  family: keyof typeof DEFAULTS,
  defaults: Readonly<Record<Name, string>>,
  options: false | Partial<Record<Name, string>> = {},
): Record<Name, string> | null {
  if (options === false) return null;
  const names = Object.keys(defaults) as Name[];
  validateOptions(options, Object.fromEntries(names.map((name) => [name, null])), `headers.${family}`);
  return Object.fromEntries(names.map((name) => [name, options[name] ?? defaults[name]])) as Record<
    Name,
    string
  >;
}

/** The parts of the two IETF headers that are the same for every response of a policy, and its name. */
const itemsByPolicy = new WeakMap<Policy, readonly [policy: string, name: string]>();

function structuredItems(policy: Policy): readonly [policy: string, name: string] {
  let items = itemsByPolicy.get(policy);
  if (items === undefined) {
    const quota = new Map([
      ['q', policy.capacity],
      ['w', toSeconds(policy.refillMs)],
    ]);
    items = [serializeItem([policy.name, quota]), serializeItem(policy.name)];
    itemsByPolicy.set(policy, items);
  }
  return items;
}

/** Formats outcomes as headers. */
export class RateLimitHeaders {
  readonly #legacy: Readonly<Record<keyof typeof DEFAULTS.legacy, string>> | null;
  readonly #standard: Readonly<Record<keyof typeof DEFAULTS.standard, string>> | null;
  readonly #retryAfter: string | false;
  /** Every header that the response to an admitted request may carry. */
  readonly names: readonly string[];

  /** @throws RateLimitConfigError `bad-header-name` for a name that no header can have. */
  constructor(options: HeaderOptions) {
    validateOptions(options, RULES, 'headers');
    this.#legacy = resolveFamily('legacy', DEFAULTS.legacy, options.legacy);
    this.#standard = resolveFamily('standard', DEFAULTS.standard, options.standard);
    this.#retryAfter = options.retryAfter ?? 'Retry-After';
    this.names = [...Object.values(this.#legacy ?? {}), ...Object.values(this.#standard ?? {})];
    this.names.forEach(requireHeaderName);
    if (this.#retryAfter !== false) requireHeaderName(this.#retryAfter);
  }

  /** Returns the headers of a response; none when no limit has decided on it. */
  format({ decidedBy, decisions }: Outcome): HeaderList {
    if (decidedBy === null) return [];
    const legacy = this.#legacy;
    const standard = this.#standard;
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
        const [policy, name] = structuredItems(charge.policy);
        const separator = policies === '' ? '' : ', ';
        policies += `${separator}${policy}`;
        limits += `${separator}${name};r=${remaining};t=${toSeconds(resetAfterMs)}`;
      }
      list.push(standard.policy, policies, standard.limits, limits);
    }
    const seconds = decidedBy.allowed ? null : retryAfterSeconds(decidedBy.retryAfterMs);
    if (this.#retryAfter !== false && seconds !== null) list.push(this.#retryAfter, String(seconds));
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
