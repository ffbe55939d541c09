import { Controller, Get } from '@nestjs/common';
import {
  byLoad,
  type KeyResolver,
  OnRateLimit,
  RateLimit,
  type RateLimitContext,
  RateLimiter,
  RateLimitModule,
  type RateResolver,
  ThrottleScope,
} from 'nestjs-ratelimit';

interface AppUser {
  readonly id: number;
  readonly tier: 'free' | 'pro';
}

declare module 'nestjs-ratelimit' {
  interface Register {
    user: AppUser;
    scopes: 'login' | 'search';
    request: { readonly ip: string; readonly session: { readonly id: string } };
  }
}

RateLimitModule.forRoot({
  scopes: {
    login: '5/15min',
    // @ts-expect-error not one of the registered scopes
    logn: '5/15min',
  },
});

RateLimitModule.forRoot({
  scopes: {
    login: ['5/15min', { rate: '20/day', key: 'body:email' }],
    search: { rate: byLoad({ normal: '500/hour', elevated: '100/hour', critical: '50/hour' }) },
  },
  allow: ['10.0.0.0/8', ({ user }) => user?.tier === 'pro'],
  // @ts-expect-error not one of the user's tiers
  deny: [({ user }) => user?.tier === 'gold'],
});

// @ts-expect-error a level has no rate
byLoad({ normal: '500/hour', elevated: '100/hour' });

RateLimitModule.forRoot({
  // @ts-expect-error a rate of the scope is none
  scopes: { login: ['5/15min', '20/month'] },
});

class Tiers implements RateResolver<RateLimitContext>, KeyResolver<RateLimitContext> {
  resolveRate({ user }: RateLimitContext) {
    return user?.tier === 'pro' ? ('100/min' as const) : ('10/min' as const);
  }
  resolveKey({ request }: RateLimitContext) {
    return request.session.id;
  }
}

class Nothing {
  name = 'nothing';
}

export class Resolved {
  @Get('1') @RateLimit({ rate: Tiers, key: Tiers }) a() {}
  // @ts-expect-error a class that resolves no rate
  @Get('2') @RateLimit({ rate: Nothing }) b() {}
  // @ts-expect-error a class that resolves no key
  @Get('3') @RateLimit({ rate: '1/min', key: Nothing }) c() {}
}

export class Listens {
  @OnRateLimit('denied', 'recovered') a() {}
  // @ts-expect-error no event at all
  @OnRateLimit() b() {}
}

/** Once an application has registered its types, they are checked everywhere. */
@Controller()
export class App {
  @Get('1') @ThrottleScope('login') a() {}
  // @ts-expect-error not one of the registered scopes
  @Get('2') @ThrottleScope('logn') b() {}
  @Get('3') @RateLimit({ rate: ({ user }) => (user?.tier === 'pro' ? '100/min' : '10/min') }) c() {}
  // @ts-expect-error not one of the user's tiers
  @Get('4') @RateLimit({ rate: ({ user }) => (user?.tier === 'gold' ? '100/min' : '10/min') }) d() {}
  @Get('5') @RateLimit({ rate: '10/min', key: ({ request }) => request.session.id }) e() {}
  @Get('6') @ThrottleScope('login', { cost: 2, key: 'body:email' }) f() {}
  // @ts-expect-error one use of a scope cannot change its rate
  @Get('7') @ThrottleScope('login', { rate: '1/min' }) g() {}
  @Get('8') @RateLimit({ rate: '10/min', when: ({ user }) => user?.tier === 'free' }) h() {}
  // @ts-expect-error not one of the user's tiers
  @Get('9') @RateLimit({ rate: '10/min', skipIf: ({ user }) => user?.tier === 'gold' }) i() {}
}

/** The phase decides whether there is a user; the request is that of the application in both. */
@Controller()
export class Phases {
  @Get('1') @RateLimit({ rate: '9/min', key: ({ user }) => user?.tier, phase: 'after-guards' }) a() {}
  @Get('2')
  @RateLimit({ rate: '9/min', key: ({ request }) => request.session.id, phase: 'before-guards' })
  b() {}
  // @ts-expect-error there is no user before the guards
  @Get('3') @RateLimit({ rate: '9/min', key: ({ user }) => user?.tier, phase: 'before-guards' }) c() {}
  @Get('4')
  // @ts-expect-error not one of the user's tiers
  @RateLimit({ rate: '9/min', when: ({ user }) => user?.tier === 'gold', phase: 'after-guards' })
  d() {}
  @Get('5') @RateLimit({ rate: Tiers, key: Tiers, phase: 'after-guards' }) e() {}
  // A class states the type of its context itself, be there a user or not.
  @Get('6') @RateLimit({ rate: Tiers, phase: 'before-guards' }) f() {}
  @Get('7') @ThrottleScope('login', { cost: ({ user }) => (user?.tier === 'pro' ? 1 : 2) }) g() {}
}

export const idOf = ({ user }: RateLimitContext): number | undefined => user?.id;

export const login = (limiter: RateLimiter<'login' | 'search'>) => {
  // @ts-expect-error not one of its scopes
  void limiter.consume({ scope: 'logn', identity: 'user:1' });
  // @ts-expect-error not one of its scopes
  void limiter.status({ scope: 'logn', identity: 'user:1' });
  void limiter.status({ identity: 'user:1' });
  return limiter.consume({ scope: 'login', identity: 'user:1' });
};
