import type { Problems } from '../core/errors.js';
import { DEFAULT_ALGORITHM } from '../core/policy.js';
import { RateLimitHeaders } from '../http/headers.js';
import { type AddressForm, addressForm, DEFAULT_IPV6_PREFIX } from '../key/address.js';
import { hashUnder } from '../key/hash.js';
import { compileIdentifier } from '../plan/identify.js';
import { rescued } from '../plan/later.js';
import type { LimitDefaults } from '../plan/limit.js';
import type { Report } from '../plan/report.js';
import type { Later, Store } from '../store/store.js';
import { checkedOptions } from './check-options.js';
import type { RateLimitContext } from './context.js';
import type { RateLimitAsyncResult, RateLimitModuleLimit, RateLimitScopes } from './options.js';

const DEFAULT_KEY = 'ip';

/** The module's options with every default in place, checked. */
export interface Settings {
  readonly enabled: boolean;
  readonly store: Store;
  readonly scopes: RateLimitScopes;
  readonly limits: readonly RateLimitModuleLimit[];
  readonly defaults: LimitDefaults<RateLimitContext>;
  readonly exempt: ((context: RateLimitContext) => Later<boolean>) | undefined;
  readonly headers: RateLimitHeaders | null;
  readonly body: NonNullable<RateLimitAsyncResult['body']>;
  readonly user: RateLimitAsyncResult['user'];
  readonly addressForm: AddressForm;
}

/** Puts the module's options and their defaults together; what is wrong goes to `problems`. */
export function compileSettings(
  given: RateLimitAsyncResult,
  store: Store,
  report: Report,
  problems: Problems,
): Settings {
  const options = checkedOptions(given, problems);
  const { key = DEFAULT_KEY, tier, user, exempt, headers = {} } = options;
  const hash = hashUnder(options.secret);
  const isKey = problems.try('key', () => compileIdentifier(key, 'key', { hash, report })) !== undefined;
  return {
    enabled: options.enabled ?? true,
    store,
    scopes: options.scopes ?? {},
    limits: options.limits ?? [],
    defaults: {
      // A bad default is one mistake, not one of every limit that takes it.
      key: isKey ? key : DEFAULT_KEY,
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
    addressForm: addressForm(options.ipv6Prefix ?? DEFAULT_IPV6_PREFIX),
  };
}
