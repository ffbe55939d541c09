import type { RequestLike, Transport } from './transport.js';

interface PlatformRequest extends RequestLike {
  readonly socket?: { readonly remoteAddress?: string };
  /** Node's request under Fastify's: what middleware sees, and may put a user on. */
  readonly raw?: { readonly user?: unknown };
}

/** Express and Fastify: `req.ip` is the platform's answer, by its own trust in proxies. */
export const http: Transport = {
  name: 'http',
  request: (execution) => execution.getArgByIndex<RequestLike>(0),
  user: (request: PlatformRequest) => request.user ?? request.raw?.user,
  headers: ({ headers }) => headers,
  address: ({ ip }) => ip,
  peer: (request: PlatformRequest) => request.socket?.remoteAddress,
};
