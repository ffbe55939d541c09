import { ALGORITHMS, type AlgorithmName } from '../core/algorithms/index.js';
import type { Awaitable } from '../core/awaitable.js';
import { parseDuration } from '../core/duration.js';
import type { ErrorReporter } from '../core/error-reporter.js';
import { configError } from '../core/errors.js';
import type { FailMode, Policy } from '../core/policy.js';
import type { Caller } from '../identity/caller.js';
import type { IdentityHashing } from '../identity/hash.js';
import type { Key } from '../identity/key.js';
import {
  type Condition,
  type Cost,
  type CountPredicate,
  compileCondition,
  compileCost,
  compileCountWhen,
  compileKeyRule,
  compileMethods,
} from './limit-functions.js';
import type { AnyLimitOptions, KeyRule, PhaseName } from './options.js';
import { compileRate, type PolicyTemplate, type RateSource, type TierFunction } from './rate-source.js';
import type { ProviderResolver } from './resolvers.js';
import { validateLimit } from './validate-limit.js';

/** The module's defaults for what limits do not state themselves. */
export interface LimitDefaults<Context> extends IdentityHashing {
  readonly key: KeyRule<Context>;
  readonly algorithm: AlgorithmName;
  readonly tier: TierFunction<Context> | undefined;
  readonly resolve: ProviderResolver<Context>;
  readonly shadow: boolean;
  readonly failMode: FailMode;
  readonly report: ErrorReporter;
}

/** The routes that share the buckets of a limit: all, those of a named scope, those of a class, or a single one. */
export type BucketScope = 'global' | 'scope' | 'class' | 'route';

/** The name of a limit, who shares its buckets, and where it is declared. */
export interface LimitOrigin {
  readonly name: string;
  /** Part of bucket keys: limits of one scope share buckets. */
  readonly scope: string;
  readonly reach: BucketScope;
  /** Such as `AuthController.login` or `scopes.login`. */
  readonly source: string;
  /** True for a limit that the module declares for every route. */
  readonly isModuleLimit: boolean;
}

/** A limit as a subclass of the guard sees it. */
export interface LimitInfo<Context> {
  /** The name that clients see. */
  readonly name: string;
  /** The place of its declaration, such as `AuthController.login` or `scopes.login`. */
  readonly source: string;
  /** The key that it is declared with. */
  readonly key: KeyRule<Context>;
  /** True for a limit that only reports. */
  readonly shadow: boolean;
  /** Returns who is charged, or null to skip the limit. */
  readonly identify: (context: Context) => Awaitable<string | null>;
}

/** A compiled limit. */
export interface Limit<Context> extends LimitOrigin, LimitInfo<Context> {
  /** The forms of its key, as of `Key`; empty for a function. */
  readonly keyForms: Key['forms'];
  /** The phase that the limit states. */
  readonly phase: PhaseName | undefined;
  /** True if its key or tier depends on the user. */
  readonly readsUser: boolean;
  /** Its options that are functions or classes of the application and bear on the phase, such as `key`. */
  readonly callbacks: readonly string[];
  /** True if everything about it is known at start-up, so that a request is charged without asking the application. */
  readonly isStatic: boolean;
  readonly blockDurationsMs: readonly number[];
  readonly cost: Cost<Context>;
  readonly rate: RateSource<Context>;
  readonly options: AnyLimitOptions<Context>;
  /** The common part of all its policies. */
  readonly template: PolicyTemplate & { readonly algorithm: AlgorithmName; readonly failMode: FailMode };
  /** The HTTP methods that it applies to; null for all calls. */
  readonly methods: ReadonlySet<string> | null;
  /** The application's conditions; null for none. */
  readonly condition: Condition<Context> | null;
  /** Asked at the end of a charged call; null if every call counts. */
  readonly countWhen: CountPredicate<Context> | null;
}

function compileBlocks(block: AnyLimitOptions<never>['block']): readonly number[] {
  const durations = (Array.isArray(block) ? block : block === undefined ? [] : [block]).map(parseDuration);
  if (durations.every((ms, at) => at === 0 || ms >= (durations[at - 1] as number)))
    return Object.freeze(durations);
  throw configError(
    'bad-duration',
    'The durations of a block get shorter.',
    'Order them from short to long.',
  );
}

/** The options that bear on the phase. `byLoad` reads no request, and is an object. */
const PHASE_OPTIONS = ['key', 'rate', 'cost', 'when', 'skipIf'] as const;

/**
 * Compiles one limit.
 *
 * @throws RateLimitConfigError for any option that cannot be meant.
 */
export function compileLimit<Context extends Caller>(
  options: AnyLimitOptions<Context>,
  { name, scope, reach, source, isModuleLimit }: LimitOrigin,
  defaults: LimitDefaults<Context>,
): Limit<Context> {
  validateLimit(options);
  const {
    key = defaults.key,
    algorithm = defaults.algorithm,
    burst,
    message,
    shadow = defaults.shadow,
    failMode = defaults.failMode,
    phase,
  } = options;
  const template = { name, scope, algorithm, burst, message, failMode };
  const rate = compileRate(options.rate, template, source, { ...defaults, shadow });
  const cost = compileCost(options.cost, source, defaults.report);
  if (rate.kind === 'fixed') requireFittingCost(cost, rate.policy);
  const blockDurationsMs = compileBlocks(options.block);
  const { identify, readsUser, forms } = compileKeyRule(key, source, defaults);
  const condition = compileCondition(options, source, defaults.report);
  const callbacks = PHASE_OPTIONS.filter((option) => typeof { ...options, key }[option] === 'function');
  return {
    name,
    scope,
    reach,
    source,
    isModuleLimit,
    shadow,
    phase,
    callbacks,
    // A rate by load is computed without the request.
    isStatic: callbacks.length === 0 && rate.kind !== 'tiers',
    readsUser: readsUser || rate.kind === 'tiers',
    blockDurationsMs,
    key,
    keyForms: forms,
    cost,
    rate,
    options,
    template,
    identify,
    methods: compileMethods(options.methods),
    condition,
    countWhen: compileCountWhen(options.countWhen, source, defaults.report),
  };
}

/** Throws `bad-burst` if every request would be denied because it costs more than the burst. */
function requireFittingCost(cost: Cost<never>, policy: Policy | null): void {
  if (policy === null || typeof cost !== 'number') return;
  if (!ALGORITHMS[policy.algorithm].hasBurst || policy.limit === 0 || cost <= policy.capacity) return;
  throw configError(
    'bad-burst',
    `A cost of ${cost} never fits into a burst of ${policy.capacity}.`,
    `Raise the burst to ${cost} or more, or lower the cost.`,
  );
}
