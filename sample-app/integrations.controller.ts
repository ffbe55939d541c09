import { Controller, Get } from '@nestjs/common';
import { RateLimit, SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { GENERAL } from './limits.js';
import { PartnerKey, PartnerRate } from './partners.js';

/** For other companies' systems, each known by its API key. */
@Controller('integrations')
export class IntegrationsController {
  @Get('orders')
  @SkipRateLimit(...GENERAL)
  @ThrottleScope('integrations')
  orders() {
    return { orders: [] };
  }

  /** Key and rate of each partner come from a service. */
  @Get('stock')
  @SkipRateLimit(...GENERAL)
  @RateLimit({ name: 'partner', rate: PartnerRate, key: PartnerKey, needs: 'request' })
  stock() {
    return { stock: [] };
  }

  /** For a news reader, which knows no more than an address with a token in it. */
  @Get('feed')
  @SkipRateLimit(...GENERAL)
  @RateLimit({ name: 'feed', rate: '60/hour', key: 'query:token' })
  feed() {
    return { items: [] };
  }
}
