/** Where a request holds values that callers choose. */
export type ValueLocation = 'header' | 'query' | 'body' | 'cookie' | 'param';

/** A request as far as it tells who sent it: what keys are made of. */
export interface Caller {
  /** The address in canonical form (see `addressNormalizer`), null where the transport knows none. */
  readonly address: string | null;
  /** Whether a user is signed in. */
  readonly authenticated: boolean;
  /** The signed-in user's id; null when there is no user, or one without a usable id. */
  readonly userId: string | null;
  /** The method of an HTTP request, undefined over other transports. */
  readonly method: string | undefined;
  /** What the request holds under a name, undefined when nothing; of a header the name is in lower case. */
  value(location: ValueLocation, name: string): unknown;
}
