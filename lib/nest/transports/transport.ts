import type { ExecutionContext } from '@nestjs/common';
import type { ValueSource } from '../../key/caller.js';

/** What a call came over, as `ExecutionContext.getType()` has it. */
export type TransportName = 'http' | 'graphql' | 'ws' | 'rpc';

/** A request as far as every transport and platform has it. */
export interface RequestLike {
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly method?: string;
  readonly url?: string;
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
  readonly cookies?: unknown;
  readonly user?: unknown;
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
  holder(kind: Exclude<ValueSource, 'header'>, execution: ExecutionContext, request: RequestLike): unknown;
  /** The caller's address as the platform tells it. */
  address(request: RequestLike): string | undefined;
  /** The address at the other end of the connection: counts when the platform's is none. */
  peer(request: RequestLike): string | undefined;
}
