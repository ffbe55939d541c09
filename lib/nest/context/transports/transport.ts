import type { ExecutionContext } from '@nestjs/common';
import type { ValueLocation } from '../../../identity/caller.js';

/** What a call came over, as `ExecutionContext.getType()` has it. */
export type TransportName = 'http' | 'graphql' | 'ws' | 'rpc';

/** A request as far as every transport and platform has it. */
export interface RequestLike {
  /** By their names in lower case. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** The HTTP method, in capital letters. */
  readonly method?: string;
  /** Path and query as they came. */
  readonly url?: string;
  /** Values of the path, by the names that the route gives them. */
  readonly params?: unknown;
  /** Values of the query, as the platform reads them. */
  readonly query?: unknown;
  /** As the platform has parsed it. */
  readonly body?: unknown;
  /** By their names, where a middleware has read them. */
  readonly cookies?: unknown;
  /** Who is signed in, as a guard of the application has noted it. */
  readonly user?: unknown;
  /** The caller's address, as the platform tells it. */
  readonly ip?: string;
}

/** Reads callers from the calls of one transport. */
export interface Transport {
  readonly name: TransportName;
  /** What stands for the request: what guards that authenticate put the user on. */
  request(execution: ExecutionContext): RequestLike;
  user(request: RequestLike): unknown;
  headers(request: RequestLike): RequestLike['headers'];
  /** Where callers put values of a kind, undefined where the transport has none. */
  container(
    kind: Exclude<ValueLocation, 'header'>,
    execution: ExecutionContext,
    request: RequestLike,
  ): unknown;
  /** The caller's address as the platform tells it. */
  address(request: RequestLike): string | undefined;
  /** The address at the other end of the connection: counts when the platform's is none. */
  peerAddress(request: RequestLike): string | undefined;
}
