import type { TransportName } from '../context/transports/transport.js';
import {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './exceptions.js';

type Rejection = RateLimitException | RateLimitForbiddenException | RateLimitUnavailableException;

/** The exception classes of optional packages, which take what the client is to be sent. */
type ErrorClass = new (error: object) => Error;

/** gRPC's PERMISSION_DENIED, RESOURCE_EXHAUSTED and UNAVAILABLE; other transports of microservices carry them along. */
const GRPC_CODES: Readonly<Record<number, number>> = { 403: 7, 429: 8, 503: 14 };

function payloadOf(rejection: Rejection, transport: TransportName): object {
  const body = rejection.getResponse();
  const payload = { ...(typeof body === 'object' ? body : { message: body }), status: 'error' };
  return transport === 'rpc' ? { ...payload, code: GRPC_CODES[rejection.getStatus()] } : payload;
}

/** Nest's driver for Apollo hides the code of an exception whose body has a status, behind one of its own. */
function forGraphql(rejection: Rejection): Error {
  const body = rejection.getResponse();
  if (typeof body !== 'object') return rejection;
  const { statusCode: _, ...rest } = body as { readonly statusCode?: unknown };
  if (rejection instanceof RateLimitException) return new RateLimitException(rejection.outcome, rest);
  return rejection instanceof RateLimitForbiddenException
    ? new RateLimitForbiddenException(rest)
    : new RateLimitUnavailableException(rest);
}

/** Puts refusals into the form that the clients of a transport understand. */
export class Refusals {
  #ws: ErrorClass | undefined;
  #rpc: ErrorClass | undefined;

  /** Loads the exception classes of those transports that the application has handlers of. */
  async load(transports: ReadonlySet<TransportName>): Promise<void> {
    if (transports.has('ws')) this.#ws = (await import('@nestjs/websockets')).WsException;
    if (transports.has('rpc')) this.#rpc = (await import('@nestjs/microservices')).RpcException;
  }

  toTransportError(transport: TransportName, rejection: Rejection): Error {
    if (transport === 'graphql') return forGraphql(rejection);
    const form = transport === 'ws' ? this.#ws : transport === 'rpc' ? this.#rpc : undefined;
    return form === undefined ? rejection : new form(payloadOf(rejection, transport));
  }
}
