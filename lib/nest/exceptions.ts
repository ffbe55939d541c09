import { HttpException, type Type } from '@nestjs/common';
import type { Outcome } from '../core/decision.js';
import { jsonBody } from '../http/body.js';

/** Lets `instanceof` know the exceptions of another copy of the library in the same process. */
function brand(type: Type<HttpException>): void {
  const mark = Symbol.for(`nestjs-ratelimit:${type.name}`);
  Object.defineProperty(type.prototype, mark, { value: true });
  Object.defineProperty(type, Symbol.hasInstance, {
    value(this: Type<HttpException>, value: unknown): boolean {
      if (this !== type) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === 'object' && value !== null && mark in value;
    },
  });
}

/** What GraphQL servers put beside the message of an exception. */
const extensionsOf = (code: string, body: unknown): Readonly<Record<string, unknown>> =>
  typeof body === 'object' ? { code, ...body } : { code };

/**
 * A request over its limit: status 429, with the final body. Its headers are set before it is thrown,
 * so that the client gets everything from any exception filter, and from none.
 *
 * @example
 * @Catch(RateLimitException)
 * class Audit extends BaseExceptionFilter {
 *   override catch(exception: RateLimitException, host: ArgumentsHost) {
 *     this.log(exception.outcome.binding?.name);
 *     super.catch(exception, host);
 *   }
 * }
 */
export class RateLimitException extends HttpException {
  /**
   * @param outcome A denied outcome.
   * @param body What the client gets. Default: the JSON body.
   */
  constructor(
    readonly outcome: Outcome,
    body: unknown = outcome.binding === null ? { statusCode: 429 } : jsonBody(outcome.binding),
  ) {
    super(body as Record<string, unknown>, 429);
  }

  /** For GraphQL clients. */
  get extensions(): Readonly<Record<string, unknown>> {
    return extensionsOf('RATE_LIMITED', this.getResponse());
  }
}
brand(RateLimitException);

const UNAVAILABLE = {
  statusCode: 503,
  error: 'rate_limit_unavailable',
  message: 'The request could not be checked against its rate limit. Try again shortly.',
};

/**
 * A request that could not be decided, for want of a rate or of the store: status 503. Never 429, since
 * nobody knows whether the caller is over a limit, and never 500.
 */
export class RateLimitUnavailableException extends HttpException {
  /** @param body What the client gets. Default: the JSON body. */
  constructor(body: object = UNAVAILABLE) {
    super(body, 503);
  }

  /** For GraphQL clients. */
  get extensions(): Readonly<Record<string, unknown>> {
    return extensionsOf('RATE_LIMIT_UNAVAILABLE', this.getResponse());
  }
}
brand(RateLimitUnavailableException);

const FORBIDDEN = {
  statusCode: 403,
  error: 'rate_limit_forbidden',
  message: 'Requests from here are not accepted.',
};

/** A caller on the `deny` list: status 403. */
export class RateLimitForbiddenException extends HttpException {
  /** @param body What the client gets. Default: the JSON body. */
  constructor(body: object = FORBIDDEN) {
    super(body, 403);
  }

  /** For GraphQL clients. */
  get extensions(): Readonly<Record<string, unknown>> {
    return extensionsOf('FORBIDDEN', this.getResponse());
  }
}
brand(RateLimitForbiddenException);
