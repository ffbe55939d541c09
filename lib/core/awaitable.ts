/** A value that is there, or still to come. */
export type Awaitable<T> = T | Promise<T>;

/** Whether a value is still to come; query builders and the like count, which have `then` alone. */
export const isPromise = <T>(value: Awaitable<T>): value is Promise<T> =>
  typeof value === 'object' &&
  value !== null &&
  'then' in value &&
  typeof (value as { readonly then: unknown }).then === 'function';

/** `next` of the value: at once when it is there, else when it comes. */
export const andThen = <T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> =>
  isPromise(value) ? value.then(next) : next(value);

/** `call`, with what it throws, at once or later, given to `rescue` in place of the caller. */
export const rescued =
  <A, T>(call: (argument: A) => Awaitable<T>, rescue: (error: unknown, argument: A) => Awaitable<T>) =>
  (argument: A): Awaitable<T> => {
    try {
      const value = call(argument);
      return isPromise(value)
        ? Promise.resolve(value).catch((error: unknown) => rescue(error, argument))
        : value;
    } catch (error) {
      return rescue(error, argument);
    }
  };

/** What `call` gives, or else `rescue`: {@link rescued}, called at once. */
export const attempt = <T>(
  call: () => Awaitable<T>,
  rescue: (error: unknown) => Awaitable<T>,
): Awaitable<T> => rescued<undefined, T>(call, rescue)(undefined);
