import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  Inject,
  Param,
  Post,
  Query,
  Res,
  ServiceUnavailableException,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { RateLimitConfigError } from '../core/errors.js';
import { SkipRateLimit } from '../nest/handlers/decorators.js';
import { AdminAccess, AdminApiGuard, AdminPageGuard, FailedAttempts, rejectCrossSite } from './access.js';
import type { LiveStream } from './live.js';
import { Operator } from './operator.js';
import type { RateLimitAdminRouteOptions } from './options.js';
import { PAGE, PAGE_CSP } from './page.gen.js';

const Execution = createParamDecorator((_data: unknown, execution: ExecutionContext) => execution);

const NO_STORE = { 'Cache-Control': 'no-store' };
const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': PAGE_CSP,
  'Cache-Control': 'no-cache',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

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
class Responses {
  constructor(readonly adapterHost: HttpAdapterHost) {}

  send(response: unknown, headers: Readonly<Record<string, string>>, status: number, body?: unknown): void {
    const { httpAdapter } = this.adapterHost;
    for (const [name, value] of Object.entries(headers)) httpAdapter.setHeader(response, name, value);
    httpAdapter.reply(response, body, status);
  }

  async sendJson(response: unknown, body: () => object | Promise<object>): Promise<void> {
    this.send(response, NO_STORE, 200, await this.#run(body));
  }

  async sendNoContent(response: unknown, action: () => Promise<void>): Promise<void> {
    await this.#run(action);
    this.send(response, NO_STORE, 204);
  }

  async #run<T>(action: () => T | Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw toHttpException(error);
    }
  }
}

/** Returns the controller of the API: a class per path, because the path is an argument of its decorator. */
export function apiController(path: string): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(AdminApiGuard)
  @SkipRateLimit()
  class RateLimitAdminController {
    readonly #responses: Responses;

    constructor(
      @Inject(Operator) private readonly operator: Operator,
      @Inject(HttpAdapterHost) adapterHost: HttpAdapterHost,
    ) {
      this.#responses = new Responses(adapterHost);
    }

    @Get('stats')
    stats(@Query('hours') hours: unknown, @Query('top') top: unknown, @Res() response: unknown) {
      return this.#responses.sendJson(response, () => this.operator.stats(hours, top));
    }

    @Get('limits')
    limits(@Res() response: unknown) {
      return this.#responses.sendJson(response, () => this.operator.limits());
    }

    @Get('health')
    health(@Res() response: unknown) {
      return this.#responses.sendJson(response, () => this.operator.health());
    }

    @Get('clients/:identity')
    client(@Param('identity') identity: string, @Res() response: unknown) {
      return this.#responses.sendJson(response, () => this.operator.client(identity));
    }

    @Post('clients/:identity/block')
    block(@Param('identity') identity: string, @Body() body: unknown, @Res() response: unknown) {
      return this.#responses.sendNoContent(response, () => this.operator.block(identity, body));
    }

    @Post('clients/:identity/unblock')
    unblock(@Param('identity') identity: string, @Res() response: unknown) {
      return this.#responses.sendNoContent(response, () => this.operator.unblock(identity));
    }

    @Post('clients/:identity/reset')
    reset(@Param('identity') identity: string, @Res() response: unknown) {
      return this.#responses.sendNoContent(response, () => this.operator.reset(identity));
    }

    @Get('live')
    live(@Res() response: Parameters<LiveStream['stream']>[0]): void {
      this.operator.live.stream(response);
    }
  }
  return RateLimitAdminController;
}

/** Returns the controller of the page. */
export function pageController(
  path: string,
  { page, pageDecorators = [] }: RateLimitAdminRouteOptions,
): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @SkipRateLimit()
  class RateLimitAdminPageController {
    readonly #responses: Responses;

    constructor(
      @Inject(AdminAccess) private readonly adminAccess: AdminAccess,
      @Inject(FailedAttempts) private readonly failedAttempts: FailedAttempts,
      @Inject(HttpAdapterHost) adapterHost: HttpAdapterHost,
    ) {
      this.#responses = new Responses(adapterHost);
    }

    @Get()
    page(@Res() response: unknown): void {
      this.#responses.send(response, PAGE_HEADERS, 200, PAGE);
    }

    /**
     * Responds 204 if the page needs no token, otherwise 200: an error status would appear in the console.
     */
    @Get('access')
    async access(@Execution() execution: ExecutionContext, @Res() response: unknown): Promise<void> {
      rejectCrossSite(execution.switchToHttp().getRequest());
      const allows = () => this.adminAccess.allows(execution).catch(() => false);
      const isAllowed = await this.failedAttempts.limit(execution, allows);
      this.#responses.send(
        response,
        NO_STORE,
        isAllowed ? 204 : 200,
        isAllowed ? undefined : { allowed: false },
      );
    }
  }
  if (page === 'guarded') UseGuards(AdminPageGuard)(RateLimitAdminPageController);
  for (const decorate of pageDecorators) decorate(RateLimitAdminPageController);
  return RateLimitAdminPageController;
}
