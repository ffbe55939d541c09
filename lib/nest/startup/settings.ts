import type { ErrorReporter } from '../../core/error-reporter.js';
import type { ErrorCollector } from '../../core/errors.js';
import { RateLimitHeaders } from '../../http/headers.js';
import { addressNormalizer, DEFAULT_IPV6_PREFIX } from '../../identity/addresses.js';
import { hashingFor } from '../../identity/hash.js';
import { compileTrustProxy } from '../../identity/proxies.js';
import type { LogIdentities } from '../../observe/denial-log.js';
import type { MeterLike } from '../../observe/telemetry.js';
import { callback, oncePerContext, syncCallback } from '../../plan/callbacks.js';
import type { LimitDefaults } from '../../plan/limit-functions.js';
import { compileKeyRule } from '../../plan/limit-functions.js';
import type { KeyFunction, KeyResolver, KeyRule } from '../../plan/options.js';
import { isResolverClass, type ProviderResolver } from '../../plan/resolvers.js';
import { type ResilienceSettings, resilienceSettings } from '../../resilience/options.js';
import type { Store } from '../../store/store.js';
import type { RateLimitContext } from '../context/call-context.js';
import { TRANSPORTS } from '../context/transports.js';
import { ProxyDetector } from '../context/untrusted-proxy.js';
import { compileAccessList } from '../request/access-lists.js';
import type { RequestSettings } from '../request/request-check.js';
import type { ResponseSettings } from '../request/responder.js';
import { validateModuleOptions } from './check-options.js';
import type {
  RateLimitAsyncResult,
  RateLimitModuleLimit,
  RateLimitScopes,
  StatisticsOptions,
} from './options.js';

const DEFAULT_KEY = 'ip';

/** The module's options, checked and compiled, with every default in place. */
export interface Settings extends RequestSettings, ResponseSettings {
  readonly resilience: ResilienceSettings;
  readonly scopes: RateLimitScopes;
  readonly limits: readonly RateLimitModuleLimit[];
  readonly defaults: LimitDefaults<RateLimitContext>;
  /** Form of denied clients in the log; null if denials are not logged. */
  readonly logIdentities: LogIdentities | null;
  readonly meter: MeterLike | undefined;
  /** Null if nothing is counted. */
  readonly statistics: StatisticsOptions | null;
}

/**
 * Checks and compiles the module's options; errors go to `errors`.
 *
 * @param given Not yet checked: a factory may return anything.
 * @param defaults Defaults that other modules of the application decide.
 */
export function compileSettings(
  given: RateLimitAsyncResult,
  defaults: { readonly statistics: boolean },
  store: Store,
  resolve: ProviderResolver<RateLimitContext>,
  report: ErrorReporter,
  errors: ErrorCollector,
): Settings {
  const options = validateModuleOptions(given, errors);
  const { key = DEFAULT_KEY, tier, user, exempt, headers = {}, trustProxy } = options;
  const hashing = hashingFor(options.secret ?? store.secret, store.shared === true);
  const isKey =
    errors.try('key', () => compileKeyRule(key, 'key', { ...hashing, report, resolve })) !== undefined;
  const normalizeAddress = addressNormalizer(options.ipv6Prefix ?? DEFAULT_IPV6_PREFIX);
  const reader = {
    normalizeAddress,
    resolveAddress:
      trustProxy === undefined
        ? null
        : (errors.try('trustProxy', () => compileTrustProxy(trustProxy)) ?? null),
    proxyDetector: new ProxyDetector(normalizeAddress),
    userOf:
      user &&
      syncCallback(user, {
        source: 'user',
        report,
        failed: 'The user function failed, so the client counts as anonymous.',
        invalid:
          'The user function returned a promise, so the client counts as anonymous. Make it synchronous.',
        check: (id: unknown) => id,
        fallback: () => null,
      }),
  };
  const allow = errors.try('allow', () => compileAccessList(options.allow, 'allow', report)) ?? null;
  const deny = errors.try('deny', () => compileAccessList(options.deny, 'deny', report)) ?? null;
  return {
    enabled: options.enabled ?? true,
    report,
    readers: Object.fromEntries(
      Object.entries(TRANSPORTS).map(([name, transport]) => [name, { transport, ...reader }]),
    ),
    lists: allow === null && deny === null ? null : { allow, deny },
    identityFormat: { hash: hashing.hash, address: normalizeAddress },
    resilience: resilienceSettings(options),
    scopes: options.scopes ?? {},
    limits: options.limits ?? [],
    defaults: {
      // An invalid default is one error, not one for every limit that takes it.
      key: isKey ? onceEach(key) : DEFAULT_KEY,
      algorithm: options.algorithm,
      tier:
        tier &&
        oncePerContext(
          callback(tier, {
            source: 'tier',
            report,
            failed: 'The tier function failed, so the default tier is taken.',
            check: (name: unknown) => name,
            fallback: () => undefined,
          }),
        ),
      ...hashing,
      resolve,
      shadow: options.shadow,
      failMode: options.failMode,
      report,
    },
    exempt:
      exempt === undefined
        ? null
        : callback(exempt, {
            source: 'exempt',
            report,
            failed: 'The exempt function failed, so the client is not exempt.',
            check: Boolean,
            fallback: () => false,
          }),
    headers: headers === false ? null : (errors.try('headers', () => new RateLimitHeaders(headers)) ?? null),
    body: options.body ?? 'json',
    logIdentities: options.logDenials === false ? null : (options.logIdentities ?? 'plain'),
    meter: options.meter,
    statistics: toStatistics(options.statistics ?? defaults.statistics),
  };
}

/** Calls a key function once for each call, however many limits take the module's key. */
function onceEach(key: KeyRule<RateLimitContext>): KeyRule<RateLimitContext> {
  if (typeof key !== 'function' || isResolverClass<KeyResolver<RateLimitContext>>(key, 'resolveKey'))
    return key;
  const identify = key as KeyFunction<RateLimitContext>;
  // Asynchronous, so that a function that throws is not called again by the next limit.
  return oncePerContext(async (context) => identify(context));
}

const toStatistics = (option: boolean | StatisticsOptions): StatisticsOptions | null =>
  typeof option === 'boolean' ? (option ? {} : null) : option;
