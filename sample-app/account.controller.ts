import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { RateLimit, SkipRateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { GENERAL } from './limits.js';
import { SignedIn } from './token.guard.js';

@Controller('account')
export class AccountController {
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

  @Get('report')
  @SignedIn()
  @ThrottleScope('report')
  report() {
    return { visitors: 42 };
  }

  /** The plan that a customer pays for. */
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
