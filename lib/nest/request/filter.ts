import { type ArgumentsHost, Catch, type ExceptionFilter, type HttpException, Inject } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './exceptions.js';

/**
 * Sends the body of our exceptions unchanged; their headers are set already. The module registers it. A filter of the
 * application that catches these exceptions runs first, and finds the same body in them.
 */
@Catch(RateLimitException, RateLimitUnavailableException, RateLimitForbiddenException)
export class RateLimitExceptionFilter implements ExceptionFilter<HttpException> {
  constructor(@Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: HttpException, host: ArgumentsHost): unknown {
    // GraphQL reports a returned error as the field's.
    if (host.getType() !== 'http') return exception;
    const { httpAdapter } = this.adapterHost;
    const response = host.getArgByIndex<unknown>(1);
    if (!httpAdapter.isHeadersSent(response)) {
      httpAdapter.reply(response, exception.getResponse(), exception.getStatus());
    }
    return undefined;
  }
}
