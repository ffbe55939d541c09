import { HttpException } from '@nestjs/common';
import { brand } from '../../core/brand.js';
import type { Outcome } from '../../core/decision.js';
import { jsonBody, unavailableBody } from '../../http/body.js';

/** What each status is called for GraphQL clients. */
const CODES = { 403: 'FORBIDDEN', 429: 'RATE_LIMITED', 503: 'RATE_LIMIT_UNAVAILABLE' } as const;

type RejectionStatus = keyof typeof CODES;

/** What the exceptions share; it has no brand, since nobody catches it. */
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
 * A request over its limit: status 429, with the final body. Its headers are set before it is thrown,
 * so that the client gets everything from any exception filter, and from none.
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
   * @param body What the client gets. Default: the JSON body.
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
 * A request that could not be decided, for want of a rate or of the store: status 503. Never 429, since
 * nobody knows whether the caller is over a limit, and never 500.
 */
export class RateLimitUnavailableException extends RateLimitHttpException {
  /** @param body What the client gets. Default: the JSON body. */
  constructor(body: object = unavailableBody()) {
    super(body, 503);
  }
}
brand(RateLimitUnavailableException, 'RateLimitUnavailableException');

/** A caller on the `deny` list: status 403. */
export class RateLimitForbiddenException extends RateLimitHttpException {
  /** @param body What the client gets. Default: the JSON body. */
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
