/** Injection token of who may use the admin API. */
export const ADMIN_ACCESS: unique symbol = Symbol.for('nestjs-ratelimit:admin-access');

/** Injection token of the guards that imported modules provide, by their classes. */
export const PROVIDED_GUARDS: unique symbol = Symbol.for('nestjs-ratelimit:provided-guards');
