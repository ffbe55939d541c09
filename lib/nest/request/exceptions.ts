import { HttpException } from '@nestjs/common';
import { brand } from '../../core/brand.js';
import type { Outcome } from '../../core/decision.js';
import { jsonBody, unavailableBody } from '../../http/body.js';

/** Error codes for GraphQL clients, by status. */
const CODES = { 403: 'FORBIDDEN', 429: 'RATE_LIMITED', 503: 'RATE_LIMIT_UNAVAILABLE' } as const;

type RejectionStatus = keyof typeof CODES;

/** Base class of the exceptions. It has no brand, since nobody catches it. */
abstract class RateLimitHttpException extends HttpException {
  constructor(body: unknown, status: RejectionStatus) {
    super(body as Record<string, unknown>, status);
  }

  /** For GraphQL clients. */
  get extensions(): Readonly<Record<string, unknown>> {
    const code = CODES[this.getStatus() as RejectionStatus];
    const body: unknown = this.getResponse();
    return typeof body === 'object' ? { code, ...body } : { code };
  }
}

/**
 * Rejects a request over its limit with 429 and the final body. Its headers are set before it is thrown, so the client
 * gets them whatever exception filter the application uses.
 *
 * @example
 * @Catch(RateLimitException)
 * class Audit extends BaseExceptionFilter {
 *   override catch(exception: RateLimitException, host: ArgumentsHost) {
 *     console.log(exception.outcome.decidedBy?.name);
 *     super.catch(exception, host);
 *   }
 * }
 */
export class RateLimitException extends RateLimitHttpException {
  /**
   * @param outcome A denied outcome.
   * @param body The response body. Default: the JSON body.
   */
  constructor(
    readonly outcome: Outcome,
    body: unknown = outcome.decidedBy === null ? { statusCode: 429 } : jsonBody(outcome.decidedBy),
  ) {
    super(body, 429);
  }
}
brand(RateLimitException, 'RateLimitException');

/**
 * Rejects a request that could not be decided, because its rate is unknown or the store fails, with 503. Never 429,
 * since nobody knows whether the client is over a limit, and never 500.
 */
export class RateLimitUnavailableException extends RateLimitHttpException {
  /** @param body The response body. Default: the JSON body. */
  constructor(body: object = unavailableBody()) {
    super(body, 503);
  }
}
brand(RateLimitUnavailableException, 'RateLimitUnavailableException');

/** Rejects a client on the `deny` list with 403. */
export class RateLimitForbiddenException extends RateLimitHttpException {
  /** @param body The response body. Default: the JSON body. */
  constructor(
    body: object = {
      statusCode: 403,
      error: 'rate_limit_forbidden',
      message: 'Requests from here are not accepted.',
    },
  ) {
    super(body, 403);
  }
}
brand(RateLimitForbiddenException, 'RateLimitForbiddenException');
