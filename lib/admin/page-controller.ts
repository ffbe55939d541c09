import {
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  Inject,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { SkipRateLimit } from '../nest/handlers/decorators.js';
import { AdminAccess } from './access.js';
import type { RateLimitAdminRouteOptions } from './options.js';
import { PAGE, PAGE_CSP } from './page.gen.js';
import { AdminResponder } from './responder.js';

const Execution = createParamDecorator((_data: unknown, execution: ExecutionContext) => execution);

const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': PAGE_CSP,
  'Cache-Control': 'no-cache',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** Returns the controller of the page. */
export function pageController(
  path: string,
  { page, pageDecorators = [] }: RateLimitAdminRouteOptions,
): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @SkipRateLimit()
  class RateLimitAdminPageController {
    constructor(
      @Inject(AdminAccess) private readonly adminAccess: AdminAccess,
      @Inject(AdminResponder) private readonly responder: AdminResponder,
    ) {}

    @Get()
    page(@Res() response: unknown) {
      return this.responder.send(response, () => PAGE, PAGE_HEADERS);
    }

    /** Responds 204 if the page needs no token, otherwise 200: an error status would appear in the console. */
    @Get('access')
    access(@Execution() execution: ExecutionContext, @Res() response: unknown) {
      const check = () => this.adminAccess.canActivate(execution).catch(() => false);
      return this.responder.send(response, async () =>
        (await this.adminAccess.allows(execution, check)) ? undefined : { allowed: false },
      );
    }
  }
  if (page === 'guarded') UseGuards(AdminAccess)(RateLimitAdminPageController);
  for (const decorate of pageDecorators) decorate(RateLimitAdminPageController);
  return RateLimitAdminPageController;
}
