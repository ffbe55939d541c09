// Symbol.for: a process may hold two copies of this library, as ESM and as CommonJS, and both must
// find what the other has written.

/** Injection token of the options given to `RateLimitModule`. */
export const RATE_LIMIT_OPTIONS: unique symbol = Symbol.for('nestjs-ratelimit:options');

/**
 * Injection token of the store, to get at it or to override it in a test.
 *
 * @example
 * Test.createTestingModule({ imports: [AppModule] })
 *   .overrideProvider(RATE_LIMIT_STORE).useValue(new MemoryStore({ clock }))
 */
export const RATE_LIMIT_STORE: unique symbol = Symbol.for('nestjs-ratelimit:store');

/** Injection token of whether the module registers its guard. */
export const GUARD_REGISTERED: unique symbol = Symbol.for('nestjs-ratelimit:guard-registered');

/** Injection token of what the module has compiled from them. */
export const RUNTIME: unique symbol = Symbol.for('nestjs-ratelimit:runtime');

/** On an `ExecutionContext` that a guard has seen: `true`, or what is left to decide after the other guards. */
export const REQUEST_CHECK: unique symbol = Symbol.for('nestjs-ratelimit:call');

/** On what a call hands to guards and interceptors alike: who waits for what the handler does. */
export const HANDLER_LISTENER: unique symbol = Symbol.for('nestjs-ratelimit:watched');

/** On the interceptor of this library. */
export const INTERCEPTOR_BRAND: unique symbol = Symbol.for('nestjs-ratelimit:interceptor');

/** On the prototype of every guard of this library. */
export const GUARD_BRAND: unique symbol = Symbol.for('nestjs-ratelimit:guard');

/** On the scopes that `forFeature` provides. */
export const SCOPES_BRAND: unique symbol = Symbol.for('nestjs-ratelimit:scopes');

/** On classes and methods: the limits that decorators declare, the topmost first. */
export const LIMITS_METADATA: unique symbol = Symbol.for('nestjs-ratelimit:limits');

/** On methods of providers: the events that `@OnRateLimit` has them called at. */
export const EVENTS_METADATA: unique symbol = Symbol.for('nestjs-ratelimit:listens');

/** On classes and methods: what `@SkipRateLimit` takes away. */
export const SKIP_METADATA: unique symbol = Symbol.for('nestjs-ratelimit:skip');

/** On classes: the guards of running applications that the entry guard stands in for. */
export const RUNNING_GUARDS: unique symbol = Symbol.for('nestjs-ratelimit:entered');
