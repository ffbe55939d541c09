import { graphql } from './graphql.js';
import { http } from './http.js';
import { rpc } from './rpc.js';
import type { Transport, TransportName } from './transport.js';
import { ws } from './ws.js';

/** The transports that are charged; a call over any other one passes. */
export const TRANSPORTS: Readonly<Record<TransportName, Transport>> = { http, graphql, ws, rpc };
