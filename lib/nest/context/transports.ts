import type { ExecutionContext } from '@nestjs/common';
import type { ValueLocation } from '../../identity/caller.js';

/** The transport of a call, as `ExecutionContext.getType()` names it. */
export type TransportName = 'http' | 'graphql' | 'ws' | 'rpc';

/** The properties of a request that every transport and platform may have. */
export interface RequestLike {
  /** By name in lower case. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  /** The HTTP method, in capital letters. */
  readonly method?: string;
  /** Path and query, not decoded. */
  readonly url?: string;
  /** Values of the path, by the names in the route. */
  readonly params?: unknown;
  /** Values of the query, as the platform parses them. */
  readonly query?: unknown;
  /** Parsed by the platform. */
  readonly body?: unknown;
  /** By name, if a middleware has parsed them. */
  readonly cookies?: unknown;
  /** The logged-in user, as a guard of the application has set it. */
  readonly user?: unknown;
  /** The client's address according to the platform. */
  readonly ip?: string;
}

/** Reads clients from the calls of one transport. */
export interface Transport {
  readonly name: TransportName;
  /** Returns the object that stands for the request: guards that authenticate set the user on it. */
  request(execution: ExecutionContext): RequestLike;
  user(request: RequestLike): unknown;
  headers(request: RequestLike): RequestLike['headers'];
  /** Returns the object that holds values of a kind; undefined if the transport has none. */
  container(
    kind: Exclude<ValueLocation, 'header'>,
    execution: ExecutionContext,
    request: RequestLike,
  ): unknown;
  /** Returns the client's address according to the platform. */
  address(request: RequestLike): string | undefined;
  /** Returns the address at the other end of the connection: used if the platform has none. */
  peerAddress(request: RequestLike): string | undefined;
}

interface PlatformRequest extends RequestLike {
  readonly socket?: { readonly remoteAddress?: string };
  /** Node's request under Fastify's: middleware sees it, and may set a user and cookies on it. */
  readonly raw?: Pick<RequestLike, 'user' | 'cookies'>;
}

/** Express and Fastify: `req.ip` follows the platform's own trust in proxies. */
const http: Transport = {
  name: 'http',
  request: (execution) => execution.getArgByIndex<RequestLike>(0),
  user: (request: PlatformRequest) => request.user ?? request.raw?.user,
  headers: ({ headers }) => headers,
  container(kind, _execution, request: PlatformRequest) {
    if (kind === 'cookie') return request.cookies ?? request.raw?.cookies;
    return kind === 'param' ? request.params : request[kind];
  },
  address: ({ ip }) => ip,
  peerAddress: (request: PlatformRequest) => request.socket?.remoteAddress,
};

interface GraphqlContext extends RequestLike {
  readonly req?: RequestLike;
  readonly request?: RequestLike;
  readonly reply?: { readonly request?: RequestLike };
}

/** Apollo puts the request at `context.req`, Mercurius at `context.reply.request`. */
const requestOf = (context: GraphqlContext): RequestLike =>
  context.req ?? context.request ?? context.reply?.request ?? context;

const graphql: Transport = {
  ...http,
  name: 'graphql',
  container: (kind, execution, request) =>
    kind === 'body' ? execution.getArgByIndex(1) : http.container(kind, execution, request),
  request: (execution) => requestOf(execution.getArgByIndex<GraphqlContext | undefined>(2) ?? {}),
};

/** A client of Socket.IO (`handshake`, `data`) or of `ws` (`_socket`). */
interface SocketLike extends RequestLike {
  readonly data?: { readonly user?: unknown };
  readonly handshake?: {
    readonly headers?: RequestLike['headers'];
    readonly address?: string;
    readonly query?: unknown;
  };
  readonly _socket?: { readonly remoteAddress?: string };
}

const ws: Transport = {
  name: 'ws',
  request: (execution) => execution.getArgByIndex<SocketLike>(0),
  user: (socket: SocketLike) => socket.user ?? socket.data?.user,
  headers: (socket: SocketLike) => socket.handshake?.headers,
  container: (kind, execution, socket: SocketLike) =>
    kind === 'body' ? execution.getArgByIndex(1) : kind === 'query' ? socket.handshake?.query : undefined,
  address: (socket: SocketLike) => socket.handshake?.address,
  peerAddress: (socket: SocketLike) => socket._socket?.remoteAddress ?? socket.handshake?.address,
};

interface RpcContext extends RequestLike {
  /** Of the TCP transport; brokers do not know the address of a client. */
  getSocketRef?(): { readonly socket?: { readonly remoteAddress?: string } };
}

const rpc: Transport = {
  name: 'rpc',
  request: (execution) => execution.getArgByIndex<RpcContext | undefined>(1) ?? {},
  user: ({ user }) => user,
  headers: ({ headers }) => headers,
  container: (kind, execution) => (kind === 'body' ? execution.getArgByIndex(0) : undefined),
  address: () => undefined,
  peerAddress: (context: RpcContext) => context.getSocketRef?.().socket?.remoteAddress,
};

/** The transports that are limited; a call over any other one passes. */
export const TRANSPORTS: Readonly<Record<TransportName, Transport>> = { http, graphql, ws, rpc };
