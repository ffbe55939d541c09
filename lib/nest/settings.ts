import type { Problems } from '../core/errors.js';
import { isPromise, type Later, rescued } from '../core/later.js';
import { DEFAULT_ALGORITHM, DEFAULT_FAIL_MODE } from '../core/policy.js';
import { RateLimitHeaders } from '../http/headers.js';
import { type AddressForm, addressForm, DEFAULT_IPV6_PREFIX } from '../key/address.js';
import { compileForwarded, type Forwarded } from '../key/forwarded.js';
import { hashingFor } from '../key/hash.js';
import { compileIdentifier } from '../plan/identify.js';
import type { LimitDefaults } from '../plan/limit.js';
import { type Report, reportFor } from '../plan/report.js';
import type { Resolve } from '../plan/resolve.js';
import { resilienceOf, type StoreWatch } from '../store/resilience/resilience.js';
import { ResilientStore } from '../store/resilience/resilient-store.js';
import type { Store } from '../store/store.js';
import { type AccessLists, compileList } from './access-lists.js';
import { checkedOptions } from './check-options.js';
import type { RateLimitContext, RateLimitRequest } from './context.js';
import type { LogIdentities } from './denial-log.js';
import type {
  RateLimitAsyncResult,
  RateLimitModuleLimit,
  RateLimitScopes,
  StatisticsOptions,
} from './options.js';
import type { MeterLike } from './telemetry.js';

const DEFAULT_KEY = 'ip';

/** The module's options with every default in place, checked. */
export interface Settings {
  readonly enabled: boolean;
  readonly store: ResilientStore;
  readonly scopes: RateLimitScopes;
  readonly limits: readonly RateLimitModuleLimit[];
  readonly defaults: LimitDefaults<RateLimitContext>;
  readonly exempt: ((context: RateLimitContext) => Later<boolean>) | undefined;
  readonly headers: RateLimitHeaders | null;
  readonly body: NonNullable<RateLimitAsyncResult['body']>;
  readonly user: RateLimitAsyncResult['user'];
  readonly addressForm: AddressForm;
  readonly forwarded: Forwarded | null;
  readonly lists: AccessLists;
  /** How denied clients stand in the log; null where denials are not logged. */
  readonly logIdentities: LogIdentities | null;
  readonly meter: MeterLike | undefined;
  /** Null where nothing is counted. */
  readonly statistics: StatisticsOptions | null;
}

/** Puts the module's options and their defaults together; what is wrong goes to `problems`. */
export function compileSettings(
  given: RateLimitAsyncResult,
  store: Store,
  resolve: Resolve<RateLimitContext>,
  report: Report,
  watch: StoreWatch,
  problems: Problems,
): Settings {
  const options = checkedOptions(given, problems);
  const { key = DEFAULT_KEY, tier, user, exempt, headers = {}, trustProxy } = options;
  const hashing = hashingFor(options.secret ?? store.secret, store.shared === true);
  const isKey =
    problems.try('key', () => compileIdentifier(key, 'key', { ...hashing, report, resolve })) !== undefined;
  return {
    enabled: options.enabled ?? true,
    store: new ResilientStore(store, resilienceOf(options), watch),
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
      ...hashing,
      resolve,
      shadow: options.shadow ?? false,
      failMode: options.failMode ?? DEFAULT_FAIL_MODE,
      report,
    },
    exempt:
      exempt &&
      rescued(exempt, (error, context) => {
        reportFor(context, report)(
          'exempt',
          'The exempt function failed, so the caller is not exempt.',
          error,
        );
        return false;
      }),
    headers:
      headers === false ? null : (problems.try('headers', () => new RateLimitHeaders(headers)) ?? null),
    body: options.body ?? 'json',
    user: user && ((request) => userIdOf(user, request, report)),
    logIdentities: options.logDenials === false ? null : (options.logIdentities ?? 'plain'),
    meter: options.meter,
    statistics: statisticsOf(options.statistics),
    addressForm: addressForm(options.ipv6Prefix ?? DEFAULT_IPV6_PREFIX),
    forwarded:
      trustProxy === undefined
        ? null
        : (problems.try('trustProxy', () => compileForwarded(trustProxy)) ?? null),
    lists: {
      allow: problems.try('allow', () => compileList(options.allow, 'allow', report)) ?? null,
      deny: problems.try('deny', () => compileList(options.deny, 'deny', report)) ?? null,
    },
  };
}

const statisticsOf = (given: RateLimitAsyncResult['statistics'] = true): StatisticsOptions | null =>
  typeof given === 'boolean' ? (given ? {} : null) : given;

/** What the `user` function says, or null when it fails. */
function userIdOf(user: NonNullable<Settings['user']>, request: RateLimitRequest, report: Report): unknown {
  const anonymous = (what: string, error?: unknown): null => {
    report('user', `The user function ${what}, so the caller counts as anonymous.`, error);
    return null;
  };
  try {
    const id: unknown = user(request);
    if (!isPromise(id)) return id;
    Promise.resolve(id).catch((error) => anonymous('failed', error));
    return anonymous('gave a promise, where it has to answer at once');
  } catch (error) {
    return anonymous('failed', error);
  }
}
