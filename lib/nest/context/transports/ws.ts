import type { RequestLike, Transport } from './transport.js';

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

export const ws: Transport = {
  name: 'ws',
  request: (execution) => execution.getArgByIndex<SocketLike>(0),
  user: (socket: SocketLike) => socket.user ?? socket.data?.user,
  headers: (socket: SocketLike) => socket.handshake?.headers,
  container: (kind, execution, socket: SocketLike) =>
    kind === 'body' ? execution.getArgByIndex(1) : kind === 'query' ? socket.handshake?.query : undefined,
  address: (socket: SocketLike) => socket.handshake?.address,
  peerAddress: (socket: SocketLike) => socket._socket?.remoteAddress ?? socket.handshake?.address,
};
