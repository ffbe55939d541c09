import type { HttpAdapterHost } from '@nestjs/core';
import { isPromise } from '../../core/awaitable.js';
import type { Outcome } from '../../core/decision.js';
import { jsonBody, PROBLEM_TYPE, problemBody, unavailableBody, unavailableProblem } from '../../http/body.js';
import { retryAfterSeconds } from '../../http/duration-words.js';
import type { HeaderList } from '../../http/headers.js';
import type { StoreUnavailableError } from '../../store/store.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { BodyFunction } from '../startup/options.js';
import type { Settings } from '../startup/settings.js';
import {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './exceptions.js';
import type { Refusals } from './refusals.js';

/** What Express and Fastify responses have beyond Nest's adapter. */
interface WithHeaders {
  removeHeader(name: string): void;
}

/** No cache may answer others with a refusal, whether it carries other headers or not. */
const NO_STORE = ['Cache-Control', 'no-store'];

/** Tells callers of their outcomes, over HTTP through Nest's adapter. */
export class Responder {
  constructor(
    readonly settings: Settings,
    readonly adapterHost: HttpAdapterHost,
    readonly refusals: Refusals,
  ) {}

  /** Sets the headers of an outcome. */
  setHeaders(context: RateLimitContext, outcome: Outcome): void {
    const { headers } = this.settings;
    if (context.transport !== 'http') return;
    if (headers !== null) this.#set(context, headers.format(outcome));
    if (!outcome.allowed) this.#set(context, NO_STORE);
  }

  /** Takes back the headers of an outcome that turned out not to count. */
  removeHeaders(context: RateLimitContext): void {
    const { headers } = this.settings;
    if (headers === null || context.transport !== 'http') return;
    const response = context.execution.getArgByIndex<WithHeaders>(1);
    if (this.adapterHost.httpAdapter.isHeadersSent(response)) return;
    for (const name of headers.names) response.removeHeader(name);
  }

  /** Sets the headers of a denial and makes the exception for it. */
  denied(context: RateLimitContext, outcome: Outcome): Error {
    this.setHeaders(context, outcome);
    const exception = new RateLimitException(outcome, this.#body(context, outcome));
    return this.refusals.toTransportError(context.transport, exception);
  }

  /** The exception for a caller that is on the list of those denied. */
  forbidden(context: RateLimitContext): Error {
    if (context.transport === 'http') this.#set(context, NO_STORE);
    return this.refusals.toTransportError(context.transport, new RateLimitForbiddenException());
  }

  /**
   * The exception for a request that could not be decided.
   *
   * @param outage What the store has to do with it; null where it is something else.
   */
  unavailable(context: RateLimitContext, outage: StoreUnavailableError | null): Error {
    // What an earlier stage has announced is given back.
    this.removeHeaders(context);
    if (context.transport === 'http') {
      const seconds = retryAfterSeconds(outage?.retryAfterMs ?? 0) ?? 1;
      this.#set(context, ['Retry-After', String(seconds), ...NO_STORE]);
    }
    if (this.settings.body !== 'problem') return this.#refusal(context, unavailableBody());
    if (context.transport === 'http') this.#set(context, ['Content-Type', PROBLEM_TYPE]);
    return this.#refusal(context, unavailableProblem(outage?.limits ?? []));
  }

  #refusal(context: RateLimitContext, body: object): Error {
    return this.refusals.toTransportError(context.transport, new RateLimitUnavailableException(body));
  }

  #body(context: RateLimitContext, outcome: Outcome): unknown {
    const { body } = this.settings;
    const { decidedBy } = outcome;
    if (decidedBy === null) return undefined;
    if (body === 'problem') {
      if (context.transport === 'http') this.#set(context, ['Content-Type', PROBLEM_TYPE]);
      return problemBody(decidedBy, outcome);
    }
    return typeof body === 'function'
      ? (this.#customBody(body, outcome, context) ?? jsonBody(decidedBy))
      : jsonBody(decidedBy);
  }

  /** What the application's function makes of a denial; undefined when it fails, or answers too late. */
  #customBody(make: BodyFunction, outcome: Outcome, context: RateLimitContext): unknown {
    const { report } = this.settings.defaults;
    const failed = (error: unknown) =>
      report('body', 'The body function failed, so the usual body is sent.', error);
    try {
      const body = make(outcome, context);
      if (!isPromise(body)) return body;
      report('body', 'The body function gave a promise, so the usual body is sent. Make it synchronous.');
      Promise.resolve(body).catch(failed);
    } catch (error) {
      failed(error);
    }
    return undefined;
  }

  #set({ execution }: RateLimitContext, headers: HeaderList): void {
    const { httpAdapter } = this.adapterHost;
    const response = execution.getArgByIndex<unknown>(1);
    if (httpAdapter.isHeadersSent(response)) return;
    for (let i = 0; i < headers.length; i += 2)
      httpAdapter.setHeader(response, headers[i] as string, headers[i + 1] as string);
  }
}
