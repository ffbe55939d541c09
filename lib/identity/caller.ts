/** A part of a request with values that clients choose. */
export type ValueLocation = 'header' | 'query' | 'body' | 'cookie' | 'param';

/** The facts of a request that identify its sender. Keys read nothing else. */
export interface Caller {
  /** The normalized address (see `addressNormalizer`); null when the transport knows none. */
  readonly address: string | null;
  /** True when a user is logged in. */
  readonly authenticated: boolean;
  /** The id of the logged-in user; null when there is no user, or one without a usable id. */
  readonly userId: string | null;
  /** The method of an HTTP request; undefined over other transports. */
  readonly method: string | undefined;
  /** Returns the value with a name; undefined when there is none. Names of headers are in lower case. */
  value(location: ValueLocation, name: string): unknown;
}
