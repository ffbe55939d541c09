import type { RateLimitModuleOptions, Store } from 'nestjs-ratelimit';

/** Where a route's own limit takes the place of the general ones, it skips these. */
export const GENERAL = ['anon', 'user', 'burst', 'sustained'] as const;

/** The limits of a small shop. */
export const shopLimits = (store: Store): RateLimitModuleOptions => ({
  store,
  limits: [
    // Decided ahead of authentication, so that guessed tokens count as well.
    { name: 'flood', rate: '600/min', key: 'ip' },
    { name: 'anon', rate: '100/hour', key: 'anon' },
    { name: 'user', rate: '1000/hour', key: 'user' },
    { name: 'burst', rate: '60/min', key: 'user|ip' },
    { name: 'sustained', rate: '1000/day', key: 'user|ip' },
  ],
  scopes: {
    login: '5/15min',
    register: '3/hour',
    'password-reset': '3/hour',
    'email-verify': '5/hour',
    'order-create': { rate: '20/hour', key: 'user' },
    payment: { rate: '10/hour', key: 'user' },
    cart: { rate: '100/hour', key: 'user|ip' },
    search: { rate: '200/hour', key: 'user|ip' },
    list: { rate: '500/hour', key: 'user|ip' },
    retrieve: { rate: '1000/hour', key: 'user|ip' },
    upload: { rate: '50/day', key: 'user' },
    export: { rate: '10/day', key: 'user' },
    report: { rate: '20/day', key: 'user' },
    integrations: { rate: '5000/hour', key: 'header:x-api-key' },
  },
  // API keys are kept as hashes under it, which processes that share a store have to agree on.
  secret: process.env.RATE_LIMIT_SECRET ?? 'only for trying it out',
  tier: (context) => context.user?.tier,
  exempt: (context) => context.user?.isStaff === true,
});
