/** A demo user, identified by a bearer token. */
export interface AppUser {
  readonly id: string;
  readonly name: string;
  readonly tier: 'free' | 'basic' | 'pro' | 'enterprise';
  readonly isStaff: boolean;
}

const user = (id: string, name: string, tier: AppUser['tier'], isStaff = false): AppUser => ({
  id,
  name,
  tier,
  isStaff,
});

/** The demo users by token. The page at / lists them: a real application keeps tokens secret. */
export const USERS: ReadonlyMap<string, AppUser> = new Map([
  ['alice-token', user('u1', 'Alice', 'free')],
  ['bob-token', user('u2', 'Bob', 'basic')],
  ['carol-token', user('u3', 'Carol', 'pro')],
  ['erin-token', user('u4', 'Erin', 'enterprise')],
  ['sam-token', user('u5', 'Sam', 'free', true)],
]);

/** Registers our types with the library: `context.user` is an `AppUser`, and scope names are checked. */
declare module 'nestjs-ratelimit' {
  interface Register {
    user: AppUser;
    scopes:
      | 'login'
      | 'register'
      | 'password-reset'
      | 'email-verify'
      | 'order-create'
      | 'payment'
      | 'cart'
      | 'search'
      | 'list'
      | 'retrieve'
      | 'upload'
      | 'export'
      | 'report'
      | 'integrations'
      | 'expensive';
  }
}
