import type { RequestLike, Transport } from './transport.js';

interface RpcContext extends RequestLike {
  /** Of the TCP transport; brokers do not know the address of a caller. */
  getSocketRef?(): { readonly socket?: { readonly remoteAddress?: string } };
}

export const rpc: Transport = {
  name: 'rpc',
  request: (execution) => execution.getArgByIndex<RpcContext | undefined>(1) ?? {},
  user: ({ user }) => user,
  headers: ({ headers }) => headers,
  container: (kind, execution) => (kind === 'body' ? execution.getArgByIndex(0) : undefined),
  address: () => undefined,
  peerAddress: (context: RpcContext) => context.getSocketRef?.().socket?.remoteAddress,
};
