import { Controller, Get } from '@nestjs/common';
import { SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { GENERAL } from './limits.js';

/** For other companies' systems, each known by its API key. */
@Controller('integrations')
export class IntegrationsController {
  @Get('orders')
  @SkipRateLimit(...GENERAL)
  @ThrottleScope('integrations')
  orders() {
    return { orders: [] };
  }
}
