import type { LimitOptions } from './options.js';

/** The limits of one purpose, as options that any module takes. */
type Preset = Readonly<Record<string, readonly LimitOptions<never>[]>>;

/**
 * Scopes for what most applications have, to spread among one's own. Each is a plain object of limits that
 * can be read, spread and changed. Those that count what a client invents, such as an e-mail, count its
 * address too. Those of `login` and `register` are decided before other guards, so that they also limit a login
 * whose wrong passwords are rejected by a guard.
 *
 * - `login`: 5 attempts in 15 minutes at one account from one address, 20 from one address, and 100 a day at
 *   one account from anywhere. The account is `body:email`.
 * - `register`: 3 an hour and 10 a day from one address.
 * - `publicApi`: 60 a minute and 1000 an hour by user, otherwise by address.
 * - `expensive`: 10 a minute by user, otherwise by address, and 100 at a time from everybody, refilled in a minute.
 *
 * @example
 * RateLimitModule.forRoot({ scopes: { ...presets.login, ...presets.publicApi, search: '200/hour' } });
 * // @ThrottleScope('login'), @ThrottleScope('publicApi')
 */
export const presets = {
  login: {
    login: [
      { name: 'login', rate: '5/15min', key: 'ip+body:email', phase: 'before-guards' },
      { name: 'login-address', rate: '20/15min', key: 'ip', phase: 'before-guards' },
      { name: 'login-account', rate: '100/day', key: 'body:email', phase: 'before-guards' },
    ],
  },
  register: {
    register: [
      { name: 'register', rate: '3/hour', key: 'ip', phase: 'before-guards' },
      { name: 'register-day', rate: '10/day', key: 'ip', phase: 'before-guards' },
    ],
  },
  publicApi: {
    publicApi: [
      { name: 'api', rate: '60/min', key: 'user|ip' },
      { name: 'api-hour', rate: '1000/hour', key: 'user|ip' },
    ],
  },
  expensive: {
    expensive: [
      { name: 'expensive', rate: '10/min', key: 'user|ip' },
      { name: 'expensive-all', rate: '100/min', key: 'global', algorithm: 'token-bucket' },
    ],
  },
} as const satisfies Readonly<Record<string, Preset>>;
