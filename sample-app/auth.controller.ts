import { Body, Controller, HttpCode, Post, UnauthorizedException } from '@nestjs/common';
import { ThrottleScope } from 'nestjs-ratelimit';

interface Credentials {
  readonly email?: string;
  readonly password?: string;
}

@Controller('auth')
export class AuthController {
  @Post('login')
  @HttpCode(200)
  @ThrottleScope('login')
  login(@Body() { email, password }: Credentials = {}) {
    if (email !== 'alice@example.org' || password !== 'wonderland') {
      throw new UnauthorizedException('Wrong e-mail or password.');
    }
    return { token: 'alice-token' };
  }

  @Post('register')
  @ThrottleScope('register')
  register() {
    return { registered: true };
  }

  @Post('password-reset')
  @HttpCode(202)
  @ThrottleScope('password-reset')
  resetPassword() {
    return { sent: true };
  }

  @Post('email-verify')
  @HttpCode(202)
  @ThrottleScope('email-verify')
  verifyEmail() {
    return { sent: true };
  }
}
