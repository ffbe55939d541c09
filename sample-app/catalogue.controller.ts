import { Controller, Get, NotFoundException, Param, Query } from '@nestjs/common';
import { byLoad, RateLimit, SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { GENERAL } from './limits.js';

const PRODUCTS = [
  { id: '1', name: 'Teapot', price: 24 },
  { id: '2', name: 'Kettle', price: 39 },
  { id: '3', name: 'Cup', price: 7 },
];

/** The busiest pages: their own limits replace the general ones. */
@Controller('products')
@SkipRateLimit(...GENERAL)
export class CatalogueController {
  @Get()
  @ThrottleScope('list')
  list() {
    return PRODUCTS;
  }

  @Get('search')
  @ThrottleScope('search')
  search(@Query('q') words = '') {
    return PRODUCTS.filter(({ name }) => name.toLowerCase().includes(words.toLowerCase()));
  }

  @Get(':id')
  @ThrottleScope('retrieve')
  retrieve(@Param('id') id: string) {
    const product = PRODUCTS.find((candidate) => candidate.id === id);
    if (product === undefined) throw new NotFoundException('There is no such product.');
    return product;
  }

  /** Nice to have: the busier the process, the lower the limit. */
  @Get(':id/related')
  @RateLimit({
    name: 'related',
    rate: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }),
    key: 'user|ip',
  })
  related() {
    return PRODUCTS.slice(1);
  }

  /** Tries out a tighter limit: it denies nobody, and the log names the clients that it would deny. */
  @Get(':id/reviews')
  @ThrottleScope('retrieve')
  @RateLimit({ name: 'trial', rate: '30/min', key: 'user|ip', shadow: true })
  reviews() {
    return [];
  }

  /** Polled by the shop's own pages: a token bucket admits a steady flow. */
  @Get(':id/stock')
  @RateLimit({ name: 'stock', rate: '5/5s', algorithm: 'token-bucket' })
  stock(@Param('id') id: string) {
    return { id, left: 3 };
  }
}
