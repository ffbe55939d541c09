import { Controller, Get } from '@nestjs/common';
import {
  type BeforeGuards,
  presets,
  RateLimit,
  type RateLimitContext,
  RateLimiter,
  RateLimitModule,
  type RateLimitOptions,
  rate,
  type Store,
  ThrottleScope,
} from 'nestjs-ratelimit';

/** What compiles, and what must not: each expected error stands before the line that has it. */
@Controller()
export class Rates {
  @Get('1') @RateLimit('5/15min') a() {}
  @Get('2') @RateLimit('100/5m') b() {}
  @Get('3') @RateLimit('100/300s') c() {}
  @Get('4') @RateLimit({ rate: { limit: 100, window: '5min' } }) d() {}
  @Get('5') @RateLimit({ limit: 100, windowMs: 300_000 }) e() {}
  @Get('6') @RateLimit('unlimited') f() {}
  @Get('7') @RateLimit(null) g() {}
  @Get('8') @RateLimit(rate(process.env.RATE ?? '5/min')) h() {}
  @Get('9') @RateLimit({ rate: { free: '10/day', pro: '100/day', default: '10/day' }, key: 'user' }) i() {}
  @Get('10') @RateLimit({ rate: (context) => (context.user?.isStaff ? null : '100/hour') }) j() {}
  @Get('11') @RateLimit({ rate: async () => '100/hour' as const, key: 'header:x-api-key|ip' }) k() {}
  @Get('12') @RateLimit({ rate: '10/min', key: (context) => context.header('x-tenant') ?? null }) l() {}
  @Get('13') @RateLimit({ rate: '10/min', cost: ({ request }) => Number(request.headers?.['x-cost']) }) m() {}
  @Get('14') @ThrottleScope('anything') n() {}
  @Get('15') @ThrottleScope('anything', { cost: 2, key: 'user' }) o() {}

  // @ts-expect-error A3: no rate
  @Get('20') @RateLimit('abc') p() {}
  // @ts-expect-error A3: no such unit
  @Get('21') @RateLimit('10/month') q() {}
  // @ts-expect-error not a whole number
  @Get('22') @RateLimit('1.5/s') r() {}
  // @ts-expect-error something behind it
  @Get('23') @RateLimit('10/m extra') s() {}
  // @ts-expect-error a text that only run time knows: rate(text) takes it
  @Get('24') @RateLimit(process.env.RATE) t() {}
  // @ts-expect-error tiers without a default
  @Get('25') @RateLimit({ rate: { free: '10/day', pro: '100/day' } }) u() {}
  // @ts-expect-error a tier that is no rate
  @Get('26') @RateLimit({ rate: { free: 'ten a day', default: '1/day' } }) v() {}
  // @ts-expect-error a window that is none
  @Get('27') @RateLimit({ limit: 10, window: '5 minutes' }) w() {}
  // @ts-expect-error no such key
  @Get('28') @RateLimit({ rate: '10/min', key: 'usr' }) x() {}
  // @ts-expect-error no such algorithm
  @Get('29') @RateLimit({ rate: '10/min', algorithm: 'leaky-bucket' }) y() {}
  // @ts-expect-error no such option
  @Get('30') @RateLimit({ rate: '10/min', costs: 2 }) z() {}
  // @ts-expect-error a scope's rate is the scope's
  @Get('31') @ThrottleScope('anything', { rate: '10/min' }) aa() {}
}

RateLimitModule.forRoot({
  scopes: {
    login: '5/15min',
    search: { rate: '200/hour', key: 'user|ip' },
    plan: { free: '10/day', default: '1/day' },
    dynamic: (context) => (context.user?.isStaff === true ? null : '10/min'),
    // @ts-expect-error no rate
    wrong: '10/month',
    // @ts-expect-error a scope is called what it is called
    named: { name: 'other', rate: '10/min' },
  },
  limits: [
    { name: 'anon', rate: '100/hour', key: 'anon' },
    { name: 'route', rate: '100/hour', per: 'route' },
  ],
  tier: (context) => context.user?.tier,
  exempt: (context) => context.user?.isStaff === true,
  user: (request) => request.headers?.['x-user'] as string | undefined,
});

// @ts-expect-error no such option
RateLimitModule.forRoot({ limit: [] });

declare const store: Store;
export async function outsideARoute(): Promise<number | null> {
  const limiter = new RateLimiter({ scopes: { mail: '100/hour' }, store });
  const outcome = await limiter.consume({ scope: 'mail', identity: 'customer:42', cost: 3 });
  await limiter.peek({ scope: 'mail', identity: 'customer:42' });
  await limiter.refund(outcome);
  await limiter.reset({ identity: 'customer:42' });
  await limiter.block({ identity: 'customer:42', for: '15min' });
  await limiter.unblock({ identity: 'customer:42' });
  // @ts-expect-error not one of its scopes
  await limiter.peek({ scope: 'post', identity: 'customer:42' });
  // @ts-expect-error no duration
  await limiter.block({ identity: 'customer:42', for: '15 minutes' });
  const [first] = outcome.decisions;
  return first === undefined ? outcome.retryAfterMs : first.remaining;
}

/** Without a registered type, the user is a record of unknowns. */
export function userOf(context: RateLimitContext): unknown {
  // @ts-expect-error unknown has no length
  context.user?.name.length;
  return context.user?.name;
}

const byTenant = ({ header }: BeforeGuards<RateLimitContext>) => header('x-tenant');
const byUser = ({ userId }: RateLimitContext) => userId;

/** Before the guards there is no user, whatever the function is for. */
@Controller()
export class Phases {
  @Get('1') @RateLimit({ rate: '9/min', key: ({ userId }) => userId }) a() {}
  @Get('2') @RateLimit({ rate: '9/min', key: ({ userId }) => userId, phase: 'after-guards' }) b() {}
  @Get('3')
  @RateLimit({ rate: '9/min', key: ({ header }) => header('x-tenant'), phase: 'before-guards' })
  c() {}
  @Get('4')
  @RateLimit({
    rate: ({ user }) => (user?.isStaff ? null : '100/hour'),
    cost: ({ authenticated }) => (authenticated ? 1 : 2),
    when: ({ userId }) => userId !== 'staff',
    skipIf: ({ user }) => user === undefined,
    phase: 'after-guards',
  })
  d() {}
  @Get('5')
  @RateLimit({
    rate: ({ request, method }) => (request.url === '/health' || method === 'HEAD' ? null : '100/hour'),
    cost: (context) => Number(context.value('query', 'rows')),
    when: ({ address }) => address !== null,
    skipIf: async ({ transport }) => transport === 'rpc',
    phase: 'before-guards',
    countWhen: ({ user }, { status }) => user === undefined || status === 401,
  })
  e() {}
  @Get('6') @RateLimit({ rate: '9/min', key: 'user', phase: 'before-guards' }) f() {}
  @Get('7') @ThrottleScope('any', { key: ({ userId }) => userId }) g() {}
  @Get('8') @ThrottleScope('any', { cost: ({ user }) => (user ? 1 : 2), phase: 'after-guards' }) h() {}
  @Get('9')
  @ThrottleScope('any', { cost: ({ method }) => (method === 'GET' ? 1 : 2), phase: 'before-guards' })
  i() {}

  @Get('10') @RateLimit({ rate: '9/min', key: byTenant, phase: 'before-guards' }) u() {}
  @Get('11') @RateLimit({ rate: '9/min', key: byTenant, phase: 'after-guards' }) v() {}
  @Get('12') @RateLimit({ rate: '9/min', key: byUser, phase: 'after-guards' }) w() {}
  // @ts-expect-error it takes a context with a user
  @Get('19') @RateLimit({ rate: '9/min', key: byUser, phase: 'before-guards' }) x() {}
  // @ts-expect-error there is no user before the guards
  @Get('20') @RateLimit({ rate: '9/min', key: ({ user }) => String(user?.id), phase: 'before-guards' }) j() {}
  // @ts-expect-error nor an id
  @Get('21') @RateLimit({ rate: '9/min', key: ({ userId }) => userId, phase: 'before-guards' }) k() {}
  @Get('22')
  // @ts-expect-error nor is it known whether there is one
  @RateLimit({ rate: '9/min', cost: ({ authenticated }) => (authenticated ? 1 : 2), phase: 'before-guards' })
  l() {}
  // @ts-expect-error the same for rates
  @Get('23') @RateLimit({ rate: ({ user }) => (user ? '9/min' : '5/min'), phase: 'before-guards' }) m() {}
  @Get('24')
  // @ts-expect-error the same for when
  @RateLimit({ rate: '9/min', when: ({ authenticated }) => authenticated, phase: 'before-guards' })
  n() {}
  @Get('25')
  // @ts-expect-error the same for skipIf
  @RateLimit({ rate: '9/min', skipIf: (context) => context.userId === null, phase: 'before-guards' })
  o() {}
  // @ts-expect-error no such phase
  @Get('26') @RateLimit({ rate: '9/min', phase: 'during-guards' }) p() {}
  // @ts-expect-error no such option
  @Get('27') @RateLimit({ rate: '9/min', key: ({ userId }) => userId, needs: 'user' }) q() {}
  // @ts-expect-error one use of a scope has no user before the guards either
  @Get('28') @ThrottleScope('any', { key: ({ userId }) => userId, phase: 'before-guards' }) r() {}
  // @ts-expect-error nor for its cost
  @Get('29') @ThrottleScope('any', { cost: ({ user }) => (user ? 1 : 2), phase: 'before-guards' }) s() {}
  // @ts-expect-error no such option
  @Get('30') @ThrottleScope('any', { key: ({ userId }) => userId, needs: 'user' }) t() {}
}

RateLimitModule.forRoot({
  limits: [
    { name: 'a', rate: '9/min', key: ({ userId }) => userId },
    { name: 'b', rate: '9/min', key: ({ userId }) => userId, phase: 'after-guards', per: 'route' },
    { name: 'c', rate: ({ method }) => (method === 'GET' ? '9/min' : '5/min'), phase: 'before-guards' },
    // @ts-expect-error there is no user before the guards
    { name: 'd', rate: '9/min', key: ({ userId }) => userId, phase: 'before-guards' },
    // @ts-expect-error the same for rates
    { name: 'e', rate: ({ user }) => (user ? '9/min' : '5/min'), phase: 'before-guards' },
    // @ts-expect-error the same for when
    { name: 'f', rate: '9/min', when: ({ authenticated }) => authenticated, phase: 'before-guards' },
    // @ts-expect-error no such option
    { name: 'g', rate: '9/min', key: ({ userId }) => userId, needs: 'user' },
  ],
  scopes: {
    // A scope may be a rate in place of options, so that TypeScript cannot tell the phases apart: see AnyLimitOptions.
    early: { rate: '9/min', key: ({ userId }) => userId, phase: 'before-guards' },
    late: [{ rate: ({ user }) => (user ? '9/min' : '5/min'), phase: 'after-guards' }, '100/day'],
    // @ts-expect-error no such option
    needs: { rate: '9/min', key: 'user', needs: 'user' },
  },
});

export const options: Record<string, RateLimitOptions> = {
  late: { rate: ({ user }) => (user?.isStaff ? null : '9/min'), phase: 'after-guards' },
  either: { rate: ({ user }) => (user?.isStaff ? null : '9/min') },
  // @ts-expect-error there is no user before the guards
  early: { rate: ({ user }) => (user?.isStaff ? null : '9/min'), phase: 'before-guards' },
};

// Presets: to spread, to change, and to take limits from.
const [login, ...others] = presets.login.login;
RateLimitModule.forRoot({
  scopes: {
    ...presets.publicApi,
    ...presets.register,
    login: [
      { ...login, rate: '3/15min', block: '15min', countWhen: (_context, { status }) => status === 401 },
      ...others,
    ],
    expensive: presets.expensive.expensive.map((limit) => ({ ...limit, shadow: true })),
  },
  // TypeScript does not look into what is spread for the phase, so a function of the context says it again.
  limits: [
    { ...login, key: ({ header }) => header('x-device'), phase: 'before-guards' },
    ...presets.publicApi.publicApi,
  ],
});

export class Presets {
  @Get('1') @RateLimit({ ...login, key: 'ip', cost: 2 }) a() {}
  @Get('2') @RateLimit({ ...login, phase: 'after-guards', key: ({ userId }) => userId }) b() {}
  // @ts-expect-error those of login are decided before the guards
  @Get('3') @RateLimit({ ...login, key: ({ userId }) => userId }) c() {}
}
