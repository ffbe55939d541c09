import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import type { AppUser } from './users.js';

/** Lets staff alone use the admin API. Runs behind the guard that knows users. */
@Injectable()
export class StaffGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { user } = context.switchToHttp().getRequest<{ readonly user?: AppUser }>();
    if (user === undefined) throw new UnauthorizedException('Sign in with the token of a member of staff.');
    return user.isStaff;
  }
}
