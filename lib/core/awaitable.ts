/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/** Returns true if a value is a promise. Query builders and the like, which have only `then`, count. */
export const isPromise = <T>(value: Awaitable<T>): value is Promise<T> =>
  typeof value === 'object' &&
  value !== null &&
  'then' in value &&
  typeof (value as { readonly then: unknown }).then === 'function';
