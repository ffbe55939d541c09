import { Controller, Get, HttpCode, Post, Req } from '@nestjs/common';
import { RateLimit, RateLimiter, SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { GENERAL } from './limits.js';
import { SignedIn } from './token.guard.js';
import type { AppUser } from './users.js';

@Controller('account')
export class AccountController {
  constructor(private readonly limiter: RateLimiter) {}

  @Post('uploads')
  @SignedIn()
  @ThrottleScope('upload')
  upload() {
    return { stored: true };
  }

  @Post('exports')
  @HttpCode(202)
  @SignedIn()
  @ThrottleScope('export')
  export() {
    return { queued: true };
  }

  /** The caller's status under every scope. */
  @Get('limits')
  @SignedIn()
  limits(@Req() { user }: { readonly user: AppUser }) {
    return this.limiter.status({ identity: `user:${user.id}`, tier: user.tier });
  }

  /** Heavy work: limited for each user and for all together, and a whole year costs more. */
  @Get('summary')
  @SignedIn()
  @ThrottleScope('expensive', {
    cost: ({ request }) => (request.url?.includes('year') ? 5 : 1),
    // Its key reads the user, whom TokenGuard sets.
    phase: 'after-guards',
  })
  summary() {
    return { totals: [] };
  }

  @Get('report')
  @SignedIn()
  @ThrottleScope('report')
  report() {
    return { visitors: 42 };
  }

  /** The paid API: the rate depends on the customer's plan. */
  @Get('api')
  @SignedIn()
  @SkipRateLimit(...GENERAL)
  @RateLimit({
    name: 'plan',
    rate: {
      free: '100/hour',
      basic: '500/hour',
      pro: '2000/hour',
      enterprise: '10000/hour',
      default: '100/hour',
    },
    key: 'user',
  })
  api() {
    return { data: [] };
  }
}
