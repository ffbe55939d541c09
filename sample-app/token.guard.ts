import {
  type CanActivate,
  type ExecutionContext,
  Injectable,
  SetMetadata,
  UnauthorizedException,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type AppUser, USERS } from './users.js';

const SIGNED_IN = 'sample:signed-in';

/** Marks a handler for signed-in users only. */
export const SignedIn = () => SetMetadata(SIGNED_IN, true);

interface AuthenticatedRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: AppUser;
}

/** Sets the user of a bearer token. Limits on users are decided after it, and all others before it. */
@Injectable()
export class TokenGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const { authorization } = request.headers;
    const user = USERS.get(authorization?.replace(/^Bearer /, '') ?? '');
    if (authorization !== undefined && user === undefined) throw new UnauthorizedException('Unknown token.');
    if (user !== undefined) request.user = user;
    if (user === undefined && this.reflector.get<boolean | undefined>(SIGNED_IN, context.getHandler())) {
      throw new UnauthorizedException('Sign in with one of the tokens on the page at /.');
    }
    return true;
  }
}
