import type { RateLimitEventHandler, RateLimitEventName } from '../../observe/events.js';
import type { DeclaredLimit } from '../../plan/options.js';
import { toLimitOptions } from '../../plan/options.js';
import type { ScopeName } from '../../plan/register.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { RateLimitOptions, RateLimitRate, ThrottleScopeOverrides } from '../startup/options.js';
import { addLimit, addListener, addSkip } from './metadata.js';

/** A decorator of a class or of a method. */
export type ClassOrMethodDecorator = ClassDecorator & MethodDecorator;

/** A decorator that notes something on the class or on the method's function. */
const annotate =
  (apply: (target: object) => void): ClassOrMethodDecorator =>
  (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void =>
    apply((descriptor?.value as object | undefined) ?? target);

const annotateLimit = (declaration: DeclaredLimit<RateLimitContext>): ClassOrMethodDecorator =>
  annotate((target) => addLimit(target, declaration));

/**
 * Limits a handler, or each handler of a class together. Stackable: every one is a limit of its own, and
 * adds to those of the module and the class.
 *
 * @param limit A rate, or a limit with options.
 * @example
 * @Get('search') @RateLimit('20/min') @RateLimit({ rate: '1000/day', key: 'user' })
 * search() {}
 */
export const RateLimit = (limit: RateLimitRate | RateLimitOptions): ClassOrMethodDecorator =>
  annotateLimit({ kind: 'limit', options: toLimitOptions(limit) });

/**
 * Puts a handler, or each handler of a class, under a scope of the module. All routes of a scope share
 * its bucket. Stackable.
 *
 * @param scope A name declared under `scopes`; an unknown one is an error at start-up.
 * @param overrides What this use charges differently.
 * @example
 * @Post('login') @ThrottleScope('login')
 * login() {}
 */
export const ThrottleScope = (
  scope: ScopeName,
  overrides: ThrottleScopeOverrides = {},
): ClassOrMethodDecorator => annotateLimit({ kind: 'scope', scope, overrides });

/**
 * Takes away limits from further out: of the module for a class, of the module and the class for a method.
 * The class's or the method's own limits stay.
 *
 * @param names The limits to take away; none for all. A name that nothing further out has is an error at
 *   start-up.
 * @example
 * @Get('health') @SkipRateLimit()
 * health() {}
 */
export const SkipRateLimit = (...names: readonly string[]): ClassOrMethodDecorator =>
  annotate((target) => addSkip(target, names.length === 0 ? 'all' : names));

/**
 * Calls a method of a provider at each event of these names.
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
