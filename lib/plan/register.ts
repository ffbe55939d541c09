/**
 * Tells the library of an application's own types, by declaration merging: `user` for `context.user`,
 * `request` for `context.request`, `scopes` for the names that `@ThrottleScope` takes.
 *
 * @example
 * declare module 'nestjs-ratelimit' {
 *   interface Register { user: AppUser; scopes: 'login' | 'search' }
 * }
 */
export interface Register {}

/** A scope's name: one of those registered, otherwise any text. */
export type ScopeName = Register extends { scopes: infer Name extends string } ? Name : string;
