import type { Problems } from '../core/errors.js';
import { ALGORITHM_NAMES, DEFAULT_ALGORITHM } from '../core/policy.js';
import { RateLimitHeaders } from '../http/headers.js';
import { DEFAULT_IPV6_PREFIX } from '../key/address.js';
import { hashUnder } from '../key/hash.js';
import { compileIdentifier } from '../plan/identify.js';
import { rescued } from '../plan/later.js';
import type { LimitDefaults } from '../plan/limit.js';
import type { Report } from '../plan/report.js';
import { MemoryStore } from '../store/memory/memory-store.js';
import type { Later, Store } from '../store/store.js';
import type { RateLimitContext } from './context.js';
import type { RateLimitAsyncResult } from './options.js';

/** The module's options with every default in place, checked. */
export interface Settings {
  readonly enabled: boolean;
  readonly store: Store;
  readonly defaults: LimitDefaults<RateLimitContext>;
  readonly exempt: ((context: RateLimitContext) => Later<boolean>) | undefined;
  readonly headers: RateLimitHeaders | null;
  readonly body: NonNullable<RateLimitAsyncResult['body']>;
  readonly user: RateLimitAsyncResult['user'];
  readonly ipv6Prefix: number;
}

export const OPTION_NAMES: readonly string[] = [
  'store',
  'scopes',
  'limits',
  'key',
  'algorithm',
  'tier',
  'user',
  'exempt',
  'enabled',
  'headers',
  'body',
  'secret',
  'ipv6Prefix',
] satisfies readonly (keyof RateLimitAsyncResult)[];

function checkOptions(options: RateLimitAsyncResult, problems: Problems): void {
  const { algorithm = DEFAULT_ALGORITHM, ipv6Prefix = DEFAULT_IPV6_PREFIX, body = 'json' } = options;
  const bad = (what: string, mend: string) => problems.add('bad-option', 'RateLimitModule', what, mend);
  for (const name of Object.keys(options).filter((name) => !OPTION_NAMES.includes(name))) {
    const mend =
      name === 'registerGuard'
        ? 'Move it beside useFactory: it has to be known before that runs.'
        : `The options are ${OPTION_NAMES.join(', ')}.`;
    bad(`There is no option ${JSON.stringify(name)} here.`, mend);
  }
  if (!ALGORITHM_NAMES.includes(algorithm)) {
    bad(
      `There is no algorithm ${JSON.stringify(algorithm)}.`,
      `Choose one of ${ALGORITHM_NAMES.join(', ')}.`,
    );
  }
  if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 1 || ipv6Prefix > 128) {
    bad(`ipv6Prefix cannot be ${String(ipv6Prefix)}.`, 'Give a number of bits from 1 to 128; 64 is usual.');
  }
  if (body !== 'json' && body !== 'problem' && typeof body !== 'function') {
    bad(`body cannot be ${JSON.stringify(body)}.`, `Give 'json', 'problem' or a function.`);
  }
}

/** Checks the module's options; what is wrong goes to `problems`. */
export function compileSettings(options: RateLimitAsyncResult, report: Report, problems: Problems): Settings {
  checkOptions(options, problems);
  const { key = 'ip', tier, user, exempt, headers = {} } = options;
  const hash = hashUnder(options.secret);
  problems.try('key', () => compileIdentifier(key, 'key', { hash, report }));
  return {
    enabled: options.enabled ?? true,
    store: options.store ?? new MemoryStore(),
    defaults: {
      key,
      algorithm: options.algorithm ?? DEFAULT_ALGORITHM,
      tier:
        tier &&
        rescued(tier, (error) => {
          report('tier', 'The tier function failed, so the default tier is taken.', error);
          return undefined;
        }),
      hash,
      report,
    },
    exempt:
      exempt &&
      rescued(exempt, (error) => {
        report('exempt', 'The exempt function failed, so the caller is not exempt.', error);
        return false;
      }),
    headers:
      headers === false ? null : (problems.try('headers', () => new RateLimitHeaders(headers)) ?? null),
    body: options.body ?? 'json',
    user:
      user &&
      ((request) => {
        try {
          return user(request);
        } catch (error) {
          report('user', 'The user function failed, so the caller counts as anonymous.', error);
          return null;
        }
      }),
    ipv6Prefix: options.ipv6Prefix ?? DEFAULT_IPV6_PREFIX,
  };
}
