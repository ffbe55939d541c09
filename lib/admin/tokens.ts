/** Injection token of who may use the admin API. */
export const ADMIN_ACCESS: unique symbol = Symbol.for('nestjs-ratelimit:admin-access');
