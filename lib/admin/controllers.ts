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
import { AdminAccess, AdminApiGuard, AdminPageGuard } from './access.js';
import { FailedAttempts } from './failed-attempts.js';
import type { LiveStream } from './live.js';
import { Operator } from './operator.js';
import type { RateLimitAdminRouteOptions } from './options.js';
import { PAGE, PAGE_CSP } from './page.gen.js';
import { rejectCrossSite } from './same-site.js';

const Execution = createParamDecorator((_data: unknown, execution: ExecutionContext) => execution);

const NO_STORE = { 'Cache-Control': 'no-store' };
const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': PAGE_CSP,
  'Cache-Control': 'no-cache',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** What went wrong, as an answer that says so. By name: it may come from another copy of the library. */
function asHttpError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name === 'RateLimitConfigError') {
    const { problems } = error as RateLimitConfigError;
    return new BadRequestException(problems.map(({ message, fix }) => `${message} ${fix}`).join(' '));
  }
  if (error.name === 'StoreUnavailableError') return new ServiceUnavailableException(error.message);
  return error.name === 'StoreFullError' ? new ConflictException(error.message) : error;
}

/** Answers past interceptors of the application, which may wrap what handlers give. */
class Responses {
  constructor(readonly adapterHost: HttpAdapterHost) {}

  send(response: unknown, headers: Readonly<Record<string, string>>, status: number, body?: unknown): void {
    const { httpAdapter } = this.adapterHost;
    for (const [name, value] of Object.entries(headers)) httpAdapter.setHeader(response, name, value);
    httpAdapter.reply(response, body, status);
  }

  async sendJson(response: unknown, make: () => object | Promise<object>): Promise<void> {
    this.send(response, NO_STORE, 200, await this.#made(make));
  }

  async sendDone(response: unknown, act: () => Promise<void>): Promise<void> {
    await this.#made(act);
    this.send(response, NO_STORE, 204);
  }

  async #made<T>(make: () => T | Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      throw asHttpError(error);
    }
  }
}

/** The API at a path: a class of its own, since the path stands in its decorator. */
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
      return this.#responses.sendDone(response, () => this.operator.block(identity, body));
    }

    @Post('clients/:identity/unblock')
    unblock(@Param('identity') identity: string, @Res() response: unknown) {
      return this.#responses.sendDone(response, () => this.operator.unblock(identity));
    }

    @Post('clients/:identity/reset')
    reset(@Param('identity') identity: string, @Res() response: unknown) {
      return this.#responses.sendDone(response, () => this.operator.reset(identity));
    }

    @Get('live')
    live(@Res() response: Parameters<LiveStream['stream']>[0]): void {
      this.operator.live.stream(response);
    }
  }
  return RateLimitAdminController;
}

/** The page at a path. */
export function pageController(
  path: string,
  { page, pageDecorators = [] }: RateLimitAdminRouteOptions,
): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @SkipRateLimit()
  class RateLimitAdminPageController {
    readonly #responses: Responses;

    constructor(
      @Inject(AdminAccess) private readonly access: AdminAccess,
      @Inject(FailedAttempts) private readonly failedAttempts: FailedAttempts,
      @Inject(HttpAdapterHost) adapterHost: HttpAdapterHost,
    ) {
      this.#responses = new Responses(adapterHost);
    }

    @Get()
    page(@Res() response: unknown): void {
      this.#responses.send(response, PAGE_HEADERS, 200, PAGE);
    }

    /** Whether the page can do without a token: 204 if so, without an error that a console would show. */
    @Get('access')
    async mayPass(@Execution() execution: ExecutionContext, @Res() response: unknown): Promise<void> {
      rejectCrossSite(execution.switchToHttp().getRequest());
      const allows = () => this.access.allows(execution).catch(() => false);
      const isAllowed = await this.failedAttempts.limited(execution, allows);
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
