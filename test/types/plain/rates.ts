import { Controller, Get } from '@nestjs/common';
import {
  RateLimit,
  type RateLimitContext,
  RateLimiter,
  RateLimitModule,
  rate,
  type Store,
  ThrottleScope,
} from 'nestjs-ratelimit';

/** What compiles, and what must not: each expected error stands before the line that has it. */
@Controller()
export class Rates {
  @Get('1') @RateLimit('5/15min') a() {}
  @Get('2') @RateLimit('100/5m') b() {}
  @Get('3') @RateLimit('100/300s') c() {}
  @Get('4') @RateLimit({ rate: { limit: 100, window: '5min' } }) d() {}
  @Get('5') @RateLimit({ limit: 100, windowMs: 300_000 }) e() {}
  @Get('6') @RateLimit('unlimited') f() {}
  @Get('7') @RateLimit(null) g() {}
  @Get('8') @RateLimit(rate(process.env.RATE ?? '5/min')) h() {}
  @Get('9') @RateLimit({ rate: { free: '10/day', pro: '100/day', default: '10/day' }, key: 'user' }) i() {}
  @Get('10') @RateLimit({ rate: (context) => (context.user?.isStaff ? null : '100/hour') }) j() {}
  @Get('11') @RateLimit({ rate: async () => '100/hour' as const, key: 'header:x-api-key|ip' }) k() {}
  @Get('12') @RateLimit({ rate: '10/min', key: (context) => context.header('x-tenant') ?? null }) l() {}
  @Get('13') @RateLimit({ rate: '10/min', cost: ({ request }) => Number(request.headers?.['x-cost']) }) m() {}
  @Get('14') @ThrottleScope('anything') n() {}
  @Get('15') @ThrottleScope('anything', { cost: 2, key: 'user' }) o() {}

  // @ts-expect-error A3: no rate
  @Get('20') @RateLimit('abc') p() {}
  // @ts-expect-error A3: no such unit
  @Get('21') @RateLimit('10/month') q() {}
  // @ts-expect-error not a whole number
  @Get('22') @RateLimit('1.5/s') r() {}
  // @ts-expect-error something behind it
  @Get('23') @RateLimit('10/m extra') s() {}
  // @ts-expect-error a text that only run time knows: rate(text) takes it
  @Get('24') @RateLimit(process.env.RATE) t() {}
  // @ts-expect-error tiers without a default
  @Get('25') @RateLimit({ rate: { free: '10/day', pro: '100/day' } }) u() {}
  // @ts-expect-error a tier that is no rate
  @Get('26') @RateLimit({ rate: { free: 'ten a day', default: '1/day' } }) v() {}
  // @ts-expect-error a window that is none
  @Get('27') @RateLimit({ limit: 10, window: '5 minutes' }) w() {}
  // @ts-expect-error no such key
  @Get('28') @RateLimit({ rate: '10/min', key: 'usr' }) x() {}
  // @ts-expect-error no such algorithm
  @Get('29') @RateLimit({ rate: '10/min', algorithm: 'leaky-bucket' }) y() {}
  // @ts-expect-error no such option
  @Get('30') @RateLimit({ rate: '10/min', costs: 2 }) z() {}
  // @ts-expect-error a scope's rate is the scope's
  @Get('31') @ThrottleScope('anything', { rate: '10/min' }) aa() {}
}

RateLimitModule.forRoot({
  scopes: {
    login: '5/15min',
    search: { rate: '200/hour', key: 'user|ip' },
    plan: { free: '10/day', default: '1/day' },
    dynamic: (context) => (context.user?.isStaff === true ? null : '10/min'),
    // @ts-expect-error no rate
    wrong: '10/month',
    // @ts-expect-error a scope is called what it is called
    named: { name: 'other', rate: '10/min' },
  },
  limits: [
    { name: 'anon', rate: '100/hour', key: 'anon' },
    { name: 'route', rate: '100/hour', per: 'route' },
  ],
  tier: (context) => context.user?.tier,
  exempt: (context) => context.user?.isStaff === true,
  user: (request) => request.headers?.['x-user'] as string | undefined,
});

// @ts-expect-error no such option
RateLimitModule.forRoot({ limit: [] });

declare const store: Store;
export async function outsideARoute(): Promise<number | null> {
  const limiter = new RateLimiter({ scopes: { mail: '100/hour' }, store });
  const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 3 });
  await limiter.peek({ scope: 'mail', identity: 'customer:42' });
  await limiter.refund(outcome);
  await limiter.reset({ identity: 'customer:42' });
  await limiter.block({ identity: 'customer:42', for: '15min' });
  await limiter.unblock({ identity: 'customer:42' });
  // @ts-expect-error not one of its scopes
  await limiter.peek({ scope: 'post', identity: 'customer:42' });
  // @ts-expect-error no duration
  await limiter.block({ identity: 'customer:42', for: '15 minutes' });
  const [first] = outcome.decisions;
  return first === undefined ? outcome.retryAfterMs : first.remaining;
}

/** Without a registered type, the user is a record of unknowns. */
export function userOf(context: RateLimitContext): unknown {
  // @ts-expect-error unknown has no length
  context.user?.name.length;
  return context.user?.name;
}
