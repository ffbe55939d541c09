import { http } from './http.js';
import type { RequestLike, Transport } from './transport.js';

interface GraphqlContext extends RequestLike {
  readonly req?: RequestLike;
  readonly request?: RequestLike;
  readonly reply?: { readonly request?: RequestLike };
}

/** Apollo puts the request at `context.req`, Mercurius at `context.reply.request`. */
const requestOf = (context: GraphqlContext): RequestLike =>
  context.req ?? context.request ?? context.reply?.request ?? context;

export const graphql: Transport = {
  ...http,
  name: 'graphql',
  container: (kind, execution, request) =>
    kind === 'body' ? execution.getArgByIndex(1) : http.container(kind, execution, request),
  request: (execution) => requestOf(execution.getArgByIndex<GraphqlContext | undefined>(2) ?? {}),
};
