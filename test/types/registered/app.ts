import { Controller, Get } from '@nestjs/common';
import {
  RateLimit,
  type RateLimitContext,
  RateLimiter,
  RateLimitModule,
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
}

export const idOf = ({ user }: RateLimitContext): number | undefined => user?.id;

export const login = (limiter: RateLimiter<'login' | 'search'>) => {
  // @ts-expect-error not one of its scopes
  void limiter.consume({ scope: 'logn', identity: 'user:1' });
  return limiter.consume({ scope: 'login', identity: 'user:1' });
};
