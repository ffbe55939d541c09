import type { RateLimitEventHandler, RateLimitEventName } from '../../observe/events.js';
import type { DeclaredLimit, LimitOptions, RateRule, ScopeOverrides } from '../../plan/options.js';
import { toLimitOptions } from '../../plan/options.js';
import type { ScopeName } from '../../plan/register.js';
import type { RateLimitContext } from '../context/call-context.js';
import { addLimit, addListener, addSkip } from './metadata.js';

/** A rate for `@RateLimit`: fixed, by tier, or a function of the context. */
export type RateLimitRate = RateRule<RateLimitContext>;

/** The options of `@RateLimit`. */
export type RateLimitOptions = LimitOptions<RateLimitContext>;

/** Changes how one use of a scope charges requests. */
export type ThrottleScopeOverrides = ScopeOverrides<RateLimitContext>;

/** A decorator of a class or of a method. */
export type ClassOrMethodDecorator = ClassDecorator & MethodDecorator;

/** Makes a decorator that records something on the class or on the method's function. */
const annotate =
  (apply: (target: object) => void): ClassOrMethodDecorator =>
  (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void =>
    apply((descriptor?.value as object | undefined) ?? target);

const annotateLimit = (declaration: DeclaredLimit<RateLimitContext>): ClassOrMethodDecorator =>
  annotate((target) => addLimit(target, declaration));

/**
 * Limits a handler, or all handlers of a class together. Stackable: each is a limit of its own, in addition to those of
 * the module and the class.
 *
 * @param limit A rate, or a limit with options.
 * @example
 * @Get('search') @RateLimit('20/min') @RateLimit({ rate: '1000/day', key: 'user' })
 * search() {}
 */
export function RateLimit(limit: RateLimitOptions): ClassOrMethodDecorator;
export function RateLimit(rate: RateLimitRate): ClassOrMethodDecorator;
// Overloads: in a union with rates, TypeScript could not infer the context of a function from the phase.
export function RateLimit(limit: RateLimitRate | RateLimitOptions): ClassOrMethodDecorator {
  return annotateLimit({ kind: 'limit', options: toLimitOptions<RateLimitContext>(limit) });
}

/**
 * Puts a handler, or each handler of a class, under a scope of the module. All routes of a scope share its buckets.
 * Stackable.
 *
 * @param scope A name declared under `scopes`; an unknown one is an error at start-up.
 * @param overrides Changes how this use charges requests.
 * @example
 * @Post('login') @ThrottleScope('login')
 * login() {}
 */
export function ThrottleScope(scope: ScopeName): ClassOrMethodDecorator;
export function ThrottleScope(scope: ScopeName, overrides: ThrottleScopeOverrides): ClassOrMethodDecorator;
// Overloads: of an optional parameter, TypeScript does not infer the context of a function where no phase is stated.
export function ThrottleScope(
  scope: ScopeName,
  overrides: ThrottleScopeOverrides = {},
): ClassOrMethodDecorator {
  return annotateLimit({ kind: 'scope', scope, overrides });
}

/**
 * Skips outer limits: those of the module for a class, those of the module and the class for a method. The class's or
 * the method's own limits stay.
 *
 * @param names The limits to skip; without names all of them. A name that no outer limit has is an error at start-up.
 * @example
 * @Get('health') @SkipRateLimit()
 * health() {}
 */
export const SkipRateLimit = (...names: readonly string[]): ClassOrMethodDecorator =>
  annotate((target) => addSkip(target, names.length === 0 ? 'all' : names));

/**
 * Calls a method of a provider for each event with one of these names.
 *
 * @param names One or more, such as `'denied'`.
 * @example
 * @OnRateLimit('denied', 'blocked')
 * audit({ route, limits }: RequestEvent) {}
 */
export const OnRateLimit =
  <Name extends RateLimitEventName>(...names: readonly [Name, ...Name[]]) =>
  <Handler extends RateLimitEventHandler<Name>>(
    _target: object,
    _key: string | symbol,
    { value }: TypedPropertyDescriptor<Handler>,
  ): void =>
    addListener(value as object, names);
