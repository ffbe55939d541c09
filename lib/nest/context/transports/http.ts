import type { RequestLike, Transport } from './transport.js';

interface PlatformRequest extends RequestLike {
  readonly socket?: { readonly remoteAddress?: string };
  /** Node's request under Fastify's: what middleware sees, and may put a user and cookies on. */
  readonly raw?: Pick<RequestLike, 'user' | 'cookies'>;
}

/** Express and Fastify: `req.ip` is the platform's answer, by its own trust in proxies. */
export const http: Transport = {
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
