import { Controller, Get } from '@nestjs/common';
import { RateLimit, SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { GENERAL } from './limits.js';
import { PartnerKey, PartnerRate } from './partners.js';

/** For the systems of other companies, which send an API key. */
@Controller('integrations')
export class IntegrationsController {
  @Get('orders')
  @SkipRateLimit(...GENERAL)
  @ThrottleScope('integrations')
  orders() {
    return { orders: [] };
  }

  /** The key and the rate of each partner come from a service, which reads only the request. */
  @Get('stock')
  @SkipRateLimit(...GENERAL)
  @RateLimit({ name: 'partner', rate: PartnerRate, key: PartnerKey, phase: 'before-guards' })
  stock() {
    return { stock: [] };
  }

  /** For news readers, which only know a URL with a token in it. */
  @Get('feed')
  @SkipRateLimit(...GENERAL)
  @RateLimit({ name: 'feed', rate: '60/hour', key: 'query:token' })
  feed() {
    return { items: [] };
  }
}
