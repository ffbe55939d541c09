/** A request as far as it tells who sent it: what keys are made of. */
export interface Caller {
  /** The address in canonical form (see `addressForm`), null where the transport knows none. */
  readonly address: string | null;
  /** Whether a user is signed in. */
  readonly authenticated: boolean;
  /** The signed-in user's id; null when there is no user, or one without a usable id. */
  readonly userId: string | null;
  /** Gives a request header by its name, undefined when absent. */
  readonly header: (name: string) => string | undefined;
}
