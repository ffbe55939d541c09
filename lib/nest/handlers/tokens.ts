// Symbol.for: a process may hold two copies of this library, as ESM and as CommonJS, and each must find what the
// other has written.

/** Injection token of the options given to `RateLimitModule`. */
export const RATE_LIMIT_OPTIONS: unique symbol = Symbol.for('nestjs-ratelimit:options');

/**
 * Injection token of the store, to use it or to override it in a test.
 *
 * @example
 * Test.createTestingModule({ imports: [AppModule] })
 *   .overrideProvider(RATE_LIMIT_STORE).useValue(new MemoryStore({ clock }))
 */
export const RATE_LIMIT_STORE: unique symbol = Symbol.for('nestjs-ratelimit:store');

/** Injection token of a boolean: true if the module registers its guard. */
export const GUARD_REGISTERED: unique symbol = Symbol.for('nestjs-ratelimit:guard-registered');

/** Injection token of the module's options, compiled. */
export const SETTINGS: unique symbol = Symbol.for('nestjs-ratelimit:settings');

/** Injection token of the named scopes, compiled. */
export const SCOPES: unique symbol = Symbol.for('nestjs-ratelimit:compiled-scopes');

/** Injection token of the plans of all handlers. */
export const PLANS: unique symbol = Symbol.for('nestjs-ratelimit:plans');

/** Injection token of the store as requests use it: guarded against its failures, if it can fail. */
export const GUARDED_STORE: unique symbol = Symbol.for('nestjs-ratelimit:guarded-store');

/** Injection token of what sets headers and makes exceptions. */
export const RESPONDER: unique symbol = Symbol.for('nestjs-ratelimit:responder');

/** Injection token of what publishes each decided request to subscribers. */
export const PUBLISHER: unique symbol = Symbol.for('nestjs-ratelimit:publisher');

/** Injection token of the module's `RateLimiter`, for another copy of this library. */
export const LIMITER: unique symbol = Symbol.for('nestjs-ratelimit:limiter');

/** Injection token of the module's `RateLimitStats`, for another copy of this library. */
export const STATISTICS: unique symbol = Symbol.for('nestjs-ratelimit:statistics');

/** Injection token of modules that read statistics: they turn statistics on, unless the options say otherwise. */
export const STATISTICS_REQUESTED: unique symbol = Symbol.for('nestjs-ratelimit:statistics-requested');

/** On an `ExecutionContext` that a guard has seen: `true`, or the check that continues after the other guards. */
export const REQUEST_CHECK: unique symbol = Symbol.for('nestjs-ratelimit:call');

/** On the object that a call's guards and interceptors share: the listener for the handler's result. */
export const HANDLER_LISTENER: unique symbol = Symbol.for('nestjs-ratelimit:watched');

/** On the interceptor of this library. */
export const INTERCEPTOR_BRAND: unique symbol = Symbol.for('nestjs-ratelimit:interceptor');

/** On the prototype of every guard of this library. */
export const GUARD_BRAND: unique symbol = Symbol.for('nestjs-ratelimit:guard');

/** On the scopes that `forFeature` provides. */
export const SCOPES_BRAND: unique symbol = Symbol.for('nestjs-ratelimit:scopes');

/** On classes and methods: the limits that decorators declare, the topmost first. */
export const LIMITS_METADATA: unique symbol = Symbol.for('nestjs-ratelimit:limits');

/** On methods of providers: the events for which `@OnRateLimit` calls them. */
export const EVENTS_METADATA: unique symbol = Symbol.for('nestjs-ratelimit:listens');

/** On classes and methods: the limits that `@SkipRateLimit` removes. */
export const SKIP_METADATA: unique symbol = Symbol.for('nestjs-ratelimit:skip');

/** On classes: the guards of running applications, for which the message guard stands in. */
export const RUNNING_GUARDS: unique symbol = Symbol.for('nestjs-ratelimit:entered');
