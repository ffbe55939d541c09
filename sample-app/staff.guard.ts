import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import type { AppUser } from './users.js';

/** Lets only staff use the admin API. Runs after TokenGuard, which sets the user. */
@Injectable()
export class StaffGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { user } = context.switchToHttp().getRequest<{ readonly user?: AppUser }>();
    if (user === undefined) throw new UnauthorizedException('Sign in with the token of a member of staff.');
    return user.isStaff;
  }
}
