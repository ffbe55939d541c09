import { ALGORITHMS, type AlgorithmName } from '../core/algorithms/index.js';
import type { Awaitable } from '../core/awaitable.js';
import { parseDuration } from '../core/duration.js';
import { assertConfig } from '../core/errors.js';
import {
  DEFAULT_ALGORITHM,
  DEFAULT_FAIL_MODE,
  FAIL_MODES,
  type FailMode,
  type Policy,
} from '../core/policy.js';
import {
  BOOLEAN,
  isFunction,
  isNonEmptyString,
  type OptionRules,
  oneOf,
  validateOptions,
} from '../core/validate.js';
import type { Caller } from '../identity/caller.js';
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
  type LimitDefaults,
} from './limit-functions.js';
import type { AnyLimitOptions, KeyRule, PhaseName, ScopeOverrides } from './options.js';
import { compileRate, type PolicyTemplate, type RateSource } from './rate-source.js';

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

const PHASE = oneOf('before-guards', 'after-guards');
const CONDITION = { accepts: isFunction, fix: 'Give a function of the context.' };

const LIMIT_RULES: OptionRules<keyof AnyLimitOptions<never>> = {
  name: null,
  rate: null,
  key: null,
  algorithm: null,
  burst: null,
  cost: null,
  shadow: BOOLEAN,
  block: null,
  countWhen: { accepts: isFunction, fix: 'Give a function of the context and the result.' },
  methods: { accepts: Array.isArray, fix: `Give a list, such as ['POST', 'PUT'].` },
  when: CONDITION,
  skipIf: CONDITION,
  failMode: oneOf(...FAIL_MODES),
  phase: PHASE,
  message: { accepts: isNonEmptyString, fix: 'Give a text that is not empty, or leave it out.' },
};

const MODULE_LIMIT_RULES = { ...LIMIT_RULES, per: oneOf('route') };

const OVERRIDE_RULES: OptionRules<keyof ScopeOverrides<never>> = { key: null, cost: null, phase: PHASE };

export const LIMIT_OPTION_NAMES: readonly string[] = Object.keys(LIMIT_RULES);

/** Throws `bad-option` for an invalid limit of the module. */
export const validateModuleLimit = (limit: unknown): void =>
  validateOptions(limit, MODULE_LIMIT_RULES, '', `A limit looks like { name: 'burst', rate: '60/min' }.`);

/** Throws `bad-option` for anything that one use of a scope cannot change. */
export const validateOverrides = (overrides: unknown): void =>
  validateOptions(
    overrides,
    OVERRIDE_RULES,
    '',
    '@ThrottleScope only changes how requests are charged; for other limits declare another scope, or use @RateLimit.',
  );

/** More than anybody needs: a store keeps their number in one byte. */
const MAX_BLOCKS = 100;

function compileBlocks(block: AnyLimitOptions<never>['block']): readonly number[] {
  const durations = (Array.isArray(block) ? block : block === undefined ? [] : [block]).map(parseDuration);
  assertConfig(
    durations.length <= MAX_BLOCKS,
    'bad-duration',
    `A block has ${durations.length} durations.`,
    `Give at most ${MAX_BLOCKS}.`,
  );
  assertConfig(
    durations.every((ms, at) => at === 0 || ms >= (durations[at - 1] as number)),
    'bad-duration',
    'The durations of a block get shorter.',
    'Order them from short to long.',
  );
  return Object.freeze(durations);
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
  origin: LimitOrigin,
  defaults: LimitDefaults<Context>,
): Limit<Context> {
  validateOptions(options, LIMIT_RULES, '');
  const { name, scope, source } = origin;
  const { algorithm = defaults.algorithm ?? DEFAULT_ALGORITHM, burst, message } = options;
  const { failMode = defaults.failMode ?? DEFAULT_FAIL_MODE, shadow = defaults.shadow ?? false } = options;
  const { key = defaults.key } = options;
  const blockDurationsMs = compileBlocks(options.block);
  const blocks = blockDurationsMs.length > 0;
  const template = { name, scope, algorithm, burst, blocks, message, failMode };
  const rate = compileRate(options.rate, template, source, { ...defaults, shadow });
  const place = { source, report: defaults.report };
  const cost = compileCost(options, place);
  if (rate.kind === 'fixed') requireFittingCost(cost, rate.policy);
  const { identify, readsUser, forms } = compileKeyRule(key, source, defaults);
  const callbacks = PHASE_OPTIONS.filter((option) => typeof { ...options, key }[option] === 'function');
  return {
    ...origin,
    shadow,
    phase: options.phase,
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
    methods: compileMethods(options),
    condition: compileCondition(options, place),
    countWhen: compileCountWhen(options, place),
  };
}

/** Throws `bad-burst` if every request would be denied because it costs more than the burst. */
function requireFittingCost(cost: Cost<never>, policy: Policy | null): void {
  if (policy === null || typeof cost !== 'number' || policy.limit === 0) return;
  assertConfig(
    !ALGORITHMS[policy.algorithm].hasBurst || cost <= policy.capacity,
    'bad-burst',
    `A cost of ${cost} never fits into a burst of ${policy.capacity}.`,
    `Raise the burst to ${cost} or more, or lower the cost.`,
  );
}
