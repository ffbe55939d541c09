import {
  BadRequestException,
  ConflictException,
  Inject,
  Injectable,
  ServiceUnavailableException,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { RateLimitConfigError } from '../core/errors.js';

const NO_STORE: Readonly<Record<string, string>> = { 'Cache-Control': 'no-store' };

/**
 * Returns an error of the library as an HTTP exception. Compares names, because the error may come from
 * another copy of the library.
 */
function toHttpException(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name === 'RateLimitConfigError') {
    const { problems } = error as RateLimitConfigError;
    return new BadRequestException(problems.map(({ message, fix }) => `${message} ${fix}`).join(' '));
  }
  if (error.name === 'StoreUnavailableError') return new ServiceUnavailableException(error.message);
  return error.name === 'StoreFullError' ? new ConflictException(error.message) : error;
}

/** Sends responses past the application's interceptors, which may wrap what handlers return. */
@Injectable()
export class AdminResponder {
  constructor(@Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost) {}

  /** Sends the body that `makeBody` returns; 204 for none. */
  async send(response: unknown, makeBody: () => unknown, headers = NO_STORE): Promise<void> {
    let body: unknown;
    try {
      body = await makeBody();
    } catch (error) {
      throw toHttpException(error);
    }
    const { httpAdapter } = this.adapterHost;
    for (const [name, value] of Object.entries(headers)) httpAdapter.setHeader(response, name, value);
    httpAdapter.reply(response, body, body === undefined ? 204 : 200);
  }
}
