import { type Awaitable, isPromise, rescued } from '../../core/awaitable.js';
import { type ErrorReporter, reportFor } from '../../core/error-reporter.js';
import type { ErrorCollector } from '../../core/errors.js';
import { DEFAULT_ALGORITHM, DEFAULT_FAIL_MODE } from '../../core/policy.js';
import { RateLimitHeaders } from '../../http/headers.js';
import { type AddressNormalizer, addressNormalizer, DEFAULT_IPV6_PREFIX } from '../../identity/addresses.js';
import { hashingFor } from '../../identity/hash.js';
import { type ClientAddressResolver, compileTrustProxy } from '../../identity/proxies.js';
import type { LogIdentities } from '../../observe/denial-log.js';
import type { MeterLike } from '../../observe/telemetry.js';
import { compileKeyRule } from '../../plan/identify.js';
import type { LimitDefaults } from '../../plan/limit.js';
import type { ProviderResolver } from '../../plan/resolvers.js';
import { resilienceSettings, type StoreWatch } from '../../resilience/options.js';
import { ResilientStore } from '../../resilience/resilient-store.js';
import type { Store } from '../../store/store.js';
import type { RateLimitContext, RateLimitRequest } from '../context/call-context.js';
import { type AccessLists, compileAccessList } from '../request/access-lists.js';
import { validateModuleOptions } from './check-options.js';
import type {
  RateLimitAsyncResult,
  RateLimitModuleLimit,
  RateLimitScopes,
  StatisticsOptions,
} from './options.js';

const DEFAULT_KEY = 'ip';

/** The module's options with every default in place, checked. */
export interface Settings {
  readonly enabled: boolean;
  readonly store: ResilientStore;
  readonly scopes: RateLimitScopes;
  readonly limits: readonly RateLimitModuleLimit[];
  readonly defaults: LimitDefaults<RateLimitContext>;
  readonly exempt: ((context: RateLimitContext) => Awaitable<boolean>) | undefined;
  readonly headers: RateLimitHeaders | null;
  readonly body: NonNullable<RateLimitAsyncResult['body']>;
  readonly user: RateLimitAsyncResult['user'];
  readonly normalizeAddress: AddressNormalizer;
  readonly resolveAddress: ClientAddressResolver | null;
  readonly lists: AccessLists;
  /** How denied clients stand in the log; null where denials are not logged. */
  readonly logIdentities: LogIdentities | null;
  readonly meter: MeterLike | undefined;
  /** Null where nothing is counted. */
  readonly statistics: StatisticsOptions | null;
}

/** Puts the module's options and their defaults together; what is wrong goes to `errors`. */
export function compileSettings(
  given: RateLimitAsyncResult,
  store: Store,
  resolve: ProviderResolver<RateLimitContext>,
  report: ErrorReporter,
  watch: StoreWatch,
  errors: ErrorCollector,
): Settings {
  const options = validateModuleOptions(given, errors);
  const { key = DEFAULT_KEY, tier, user, exempt, headers = {}, trustProxy } = options;
  const hashing = hashingFor(options.secret ?? store.secret, store.shared === true);
  const isKey =
    errors.try('key', () => compileKeyRule(key, 'key', { ...hashing, report, resolve })) !== undefined;
  return {
    enabled: options.enabled ?? true,
    store: new ResilientStore(store, resilienceSettings(options), watch),
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
    headers: headers === false ? null : (errors.try('headers', () => new RateLimitHeaders(headers)) ?? null),
    body: options.body ?? 'json',
    user: user && ((request) => userIdOf(user, request, report)),
    logIdentities: options.logDenials === false ? null : (options.logIdentities ?? 'plain'),
    meter: options.meter,
    statistics: statisticsOf(options.statistics),
    normalizeAddress: addressNormalizer(options.ipv6Prefix ?? DEFAULT_IPV6_PREFIX),
    resolveAddress:
      trustProxy === undefined
        ? null
        : (errors.try('trustProxy', () => compileTrustProxy(trustProxy)) ?? null),
    lists: {
      allow: errors.try('allow', () => compileAccessList(options.allow, 'allow', report)) ?? null,
      deny: errors.try('deny', () => compileAccessList(options.deny, 'deny', report)) ?? null,
    },
  };
}

const statisticsOf = (given: RateLimitAsyncResult['statistics'] = true): StatisticsOptions | null =>
  typeof given === 'boolean' ? (given ? {} : null) : given;

/** What the `user` function says, or null when it fails. */
function userIdOf(
  user: NonNullable<Settings['user']>,
  request: RateLimitRequest,
  report: ErrorReporter,
): unknown {
  const anonymous = (message: string, error?: unknown): null => {
    report('user', `The user function ${message}, so the caller counts as anonymous.`, error);
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
