import { Injectable } from '@nestjs/common';
import type { KeyResolver, RateInput, RateLimitContext, RateResolver } from 'nestjs-ratelimit';

interface Partner {
  readonly id: string;
  readonly rate: RateInput;
}

/** The companies that the shop works with. A real shop reads them from a database. */
@Injectable()
export class Partners {
  readonly #byKey = new Map<string | undefined, Partner>([
    ['demo-key', { id: 'demo', rate: '100/hour' }],
    ['large-key', { id: 'large', rate: '5000/hour' }],
  ]);

  async find(context: RateLimitContext): Promise<Partner | undefined> {
    return this.#byKey.get(context.header('x-api-key'));
  }
}

/** Charges a partner, whichever of its keys it uses, and anybody else by address. */
@Injectable()
export class PartnerKey implements KeyResolver<RateLimitContext> {
  constructor(private readonly partners: Partners) {}

  async resolveKey(context: RateLimitContext) {
    return (await this.partners.find(context))?.id;
  }
}

/** Returns the rate agreed with a partner, and a low one for anybody else. */
@Injectable()
export class PartnerRate implements RateResolver<RateLimitContext> {
  constructor(private readonly partners: Partners) {}

  async resolveRate(context: RateLimitContext): Promise<RateInput> {
    return (await this.partners.find(context))?.rate ?? '10/hour';
  }
}
