import type { HttpAdapterHost } from '@nestjs/core';
import type { Outcome } from '../../core/decision.js';
import type { ErrorReporter } from '../../core/error-reporter.js';
import { jsonBody, PROBLEM_TYPE, problemBody, unavailableBody, unavailableProblem } from '../../http/body.js';
import { retryAfterSeconds } from '../../http/duration-words.js';
import type { HeaderList, RateLimitHeaders } from '../../http/headers.js';
import { syncCallback } from '../../plan/callbacks.js';
import type { StoreUnavailableError } from '../../store/store.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { TransportName } from '../context/transports.js';
import {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './exceptions.js';

/** Returns the body of a 429. It must be synchronous; if it throws or returns nothing, the default body is sent. */
export type BodyFunction = (outcome: Outcome, context: RateLimitContext) => unknown;

/** The module's options that a response needs. */
export interface ResponseSettings {
  /** Null for none. */
  readonly headers: RateLimitHeaders | null;
  readonly body: 'json' | 'problem' | BodyFunction;
  readonly report: ErrorReporter;
}

type Rejection = RateLimitException | RateLimitForbiddenException | RateLimitUnavailableException;

/** An exception class of an optional package. It takes the payload that the client is sent. */
type ErrorClass = new (payload: object) => Error;

/** The members of Express and Fastify responses that Nest's adapter lacks. */
interface WithHeaders {
  removeHeader(name: string): void;
}

/** A cache must not send a rejection to other clients, whatever other headers it carries. */
const NO_STORE = ['Cache-Control', 'no-store'];

/** gRPC's PERMISSION_DENIED, RESOURCE_EXHAUSTED and UNAVAILABLE; other transports of microservices carry them along. */
const GRPC_CODES: Readonly<Record<number, number>> = { 403: 7, 429: 8, 503: 14 };

function payloadOf(rejection: Rejection, transport: TransportName): object {
  const body = rejection.getResponse();
  const payload = { ...(typeof body === 'object' ? body : { message: body }), status: 'error' };
  return transport === 'rpc' ? { ...payload, code: GRPC_CODES[rejection.getStatus()] } : payload;
}

/** Leaves out `statusCode`: Nest's driver for Apollo would hide our error code behind one of its own. */
function toGraphqlError(rejection: Rejection): Error {
  const body = rejection.getResponse();
  if (typeof body !== 'object') return rejection;
  const { statusCode: _, ...rest } = body as { readonly statusCode?: unknown };
  if (rejection instanceof RateLimitException) return new RateLimitException(rejection.outcome, rest);
  return rejection instanceof RateLimitForbiddenException
    ? new RateLimitForbiddenException(rest)
    : new RateLimitUnavailableException(rest);
}

/** Sets headers through Nest's HTTP adapter, and makes the exceptions of rejected calls. */
export class Responder {
  readonly #customBody: BodyFunction | null;

  private constructor(
    readonly settings: ResponseSettings,
    readonly adapterHost: HttpAdapterHost,
    readonly ws: ErrorClass | null,
    readonly rpc: ErrorClass | null,
  ) {
    const { body, report } = settings;
    this.#customBody =
      typeof body !== 'function'
        ? null
        : syncCallback(body, {
            source: 'body',
            report,
            failed: 'The body function failed, so the default body is sent.',
            invalid:
              'The body function returned a promise, so the default body is sent. Make it synchronous.',
            check: (own: unknown) => own,
            fallback: () => undefined,
          });
  }

  /** Loads the exception classes of those transports that the application has handlers for. */
  static async create(
    settings: ResponseSettings,
    adapterHost: HttpAdapterHost,
    transports: ReadonlySet<TransportName>,
  ): Promise<Responder> {
    const ws = transports.has('ws') ? (await import('@nestjs/websockets')).WsException : null;
    const rpc = transports.has('rpc') ? (await import('@nestjs/microservices')).RpcException : null;
    return new Responder(settings, adapterHost, ws, rpc);
  }

  setHeaders(context: RateLimitContext, outcome: Outcome): void {
    const { headers } = this.settings;
    if (context.transport !== 'http') return;
    if (headers !== null) this.#set(context, headers.format(outcome));
    if (!outcome.allowed) this.#set(context, NO_STORE);
  }

  /** Removes the headers of an outcome that does not count in the end. */
  removeHeaders(context: RateLimitContext): void {
    const { headers } = this.settings;
    if (headers === null || context.transport !== 'http') return;
    const response = context.execution.getArgByIndex<WithHeaders>(1);
    if (this.adapterHost.httpAdapter.isHeadersSent(response)) return;
    for (const name of headers.names) response.removeHeader(name);
  }

  /** Sets the headers of a denial and returns its exception. */
  denied(context: RateLimitContext, outcome: Outcome): Error {
    this.setHeaders(context, outcome);
    return this.#toTransportError(context, new RateLimitException(outcome, this.#body(context, outcome)));
  }

  /** Returns the exception for a client on the deny list. */
  forbidden(context: RateLimitContext): Error {
    this.#setOverHttp(context, NO_STORE);
    return this.#toTransportError(context, new RateLimitForbiddenException());
  }

  /**
   * Returns the exception for a call that could not be decided.
   *
   * @param outage The store's error; null if the store is not the cause.
   */
  unavailable(context: RateLimitContext, outage: StoreUnavailableError | null): Error {
    // The charges that an earlier phase has announced are given back.
    this.removeHeaders(context);
    const seconds = retryAfterSeconds(outage?.retryAfterMs ?? 0) ?? 1;
    this.#setOverHttp(context, ['Retry-After', String(seconds), ...NO_STORE]);
    const isProblem = this.settings.body === 'problem';
    if (isProblem) this.#setOverHttp(context, ['Content-Type', PROBLEM_TYPE]);
    const body = isProblem ? unavailableProblem(outage?.limits ?? []) : unavailableBody();
    return this.#toTransportError(context, new RateLimitUnavailableException(body));
  }

  #body(context: RateLimitContext, outcome: Outcome): unknown {
    const { decidedBy } = outcome;
    if (decidedBy === null) return undefined;
    if (this.settings.body === 'problem') {
      this.#setOverHttp(context, ['Content-Type', PROBLEM_TYPE]);
      return problemBody(decidedBy, outcome);
    }
    return this.#customBody?.(outcome, context) ?? jsonBody(decidedBy);
  }

  #toTransportError({ transport }: RateLimitContext, rejection: Rejection): Error {
    if (transport === 'graphql') return toGraphqlError(rejection);
    const ErrorOfTransport = transport === 'ws' ? this.ws : transport === 'rpc' ? this.rpc : null;
    return ErrorOfTransport === null ? rejection : new ErrorOfTransport(payloadOf(rejection, transport));
  }

  #setOverHttp(context: RateLimitContext, headers: HeaderList): void {
    if (context.transport === 'http') this.#set(context, headers);
  }

  #set({ execution }: RateLimitContext, headers: HeaderList): void {
    const { httpAdapter } = this.adapterHost;
    const response = execution.getArgByIndex<unknown>(1);
    if (httpAdapter.isHeadersSent(response)) return;
    for (let i = 0; i < headers.length; i += 2)
      httpAdapter.setHeader(response, headers[i] as string, headers[i + 1] as string);
  }
}
