import { presets, type RateLimitModuleOptions, type Store } from 'nestjs-ratelimit';

/** The limits that a route skips if its own limits replace them. */
export const GENERAL = ['anon', 'user', 'burst', 'sustained'] as const;

/** The limits of a small shop. */
export const shopLimits = (store: Store): RateLimitModuleOptions => ({
  store,
  limits: [
    // Decided before authentication, so that guessed tokens count too.
    { name: 'flood', rate: '600/min', key: 'ip' },
    { name: 'anon', rate: '100/hour', key: 'anon' },
    { name: 'user', rate: '1000/hour', key: 'user' },
    { name: 'burst', rate: '60/min', key: 'user|ip' },
    { name: 'sustained', rate: '1000/day', key: 'user|ip' },
  ],
  scopes: {
    ...presets.expensive,
    // Only failed logins count: a user who knows the password may log in as often as they like.
    login: presets.login.login.map((limit) => ({
      ...limit,
      countWhen: (_context, { status }) => status === 401,
    })),
    register: '3/hour',
    'password-reset': { rate: '3/hour', block: ['15min', '1h', '1d'] },
    'email-verify': '5/hour',
    'order-create': { rate: '20/hour', key: 'user' },
    // No payment passes uncounted, not even while Redis is down.
    payment: [
      { rate: '10/hour', key: 'user', failMode: 'closed' },
      { name: 'payment-order', rate: '3/hour', key: 'param:id', failMode: 'closed' },
    ],
    cart: { rate: '100/hour', key: 'user|cookie:cart|ip' },
    search: {
      rate: '200/hour',
      key: 'user|ip',
      skipIf: ({ request }) => !request.url?.includes('q='),
      // Its key reads the user, whom TokenGuard sets.
      phase: 'after-guards',
    },
    // Read by everybody: while the store fails, a response matters more than a count.
    list: { rate: '500/hour', key: 'user|ip', failMode: 'open' },
    retrieve: { rate: '1000/hour', key: 'user|ip', failMode: 'open' },
    upload: { rate: '50/day', key: 'user' },
    export: { rate: '10/day', key: 'user' },
    report: { rate: '20/day', key: 'user' },
    integrations: [
      { rate: '5000/hour', key: 'header:x-api-key' },
      { name: 'integrations-address', rate: '10000/hour', key: 'ip' },
    ],
  },
  // Hashes API keys and cookies in the store. All processes that share a store need the same secret.
  secret: process.env.RATE_LIMIT_SECRET ?? 'only for trying it out',
  trustProxy: 'loopback',
  deny: ['192.0.2.66'],
  allow: ['192.0.2.10'],
  tier: (context) => context.user?.tier,
  exempt: (context) => context.user?.isStaff === true,
});
