import {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './exceptions.js';
import type { TransportName } from './transports/transport.js';

type Refusal = RateLimitException | RateLimitForbiddenException | RateLimitUnavailableException;

/** The exception classes of optional packages, which take what the client is to be sent. */
type ErrorClass = new (error: object) => Error;

/** gRPC's PERMISSION_DENIED, RESOURCE_EXHAUSTED and UNAVAILABLE; other transports of microservices carry them along. */
const GRPC_CODES: Readonly<Record<number, number>> = { 403: 7, 429: 8, 503: 14 };

function payloadOf(refusal: Refusal, transport: TransportName): object {
  const body = refusal.getResponse();
  const payload = { ...(typeof body === 'object' ? body : { message: body }), status: 'error' };
  return transport === 'rpc' ? { ...payload, code: GRPC_CODES[refusal.getStatus()] } : payload;
}

/** Nest's driver for Apollo hides the code of an exception whose body has a status, behind one of its own. */
function forGraphql(refusal: Refusal): Error {
  const body = refusal.getResponse();
  if (typeof body !== 'object') return refusal;
  const { statusCode: _, ...rest } = body as { readonly statusCode?: unknown };
  if (refusal instanceof RateLimitException) return new RateLimitException(refusal.outcome, rest);
  return refusal instanceof RateLimitForbiddenException
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

  inFormOf(transport: TransportName, refusal: Refusal): Error {
    if (transport === 'graphql') return forGraphql(refusal);
    const form = transport === 'ws' ? this.#ws : transport === 'rpc' ? this.#rpc : undefined;
    return form === undefined ? refusal : new form(payloadOf(refusal, transport));
  }
}
