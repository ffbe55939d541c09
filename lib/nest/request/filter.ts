import { type ArgumentsHost, Catch, type ExceptionFilter, type HttpException, Inject } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import {
  RateLimitException,
  RateLimitForbiddenException,
  RateLimitUnavailableException,
} from './exceptions.js';

/**
 * Sends the body of our exceptions as it is. Their headers are set already. The module registers it;
 * a filter of the application that catches them goes first, and finds the same in the exception.
 */
@Catch(RateLimitException, RateLimitUnavailableException, RateLimitForbiddenException)
export class RateLimitExceptionFilter implements ExceptionFilter<HttpException> {
  constructor(@Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: HttpException, host: ArgumentsHost): unknown {
    // GraphQL takes a returned error for the field's.
    if (host.getType() !== 'http') return exception;
    const { httpAdapter } = this.adapterHost;
    const response = host.getArgByIndex<unknown>(1);
    if (!httpAdapter.isHeadersSent(response)) {
      httpAdapter.reply(response, exception.getResponse(), exception.getStatus());
    }
    return undefined;
  }
}
